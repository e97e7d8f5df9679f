"""Locates the module that computes the first non-finite value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def first_non_finite(model: torch.nn.Module, forward: Callable[[], Any]) -> str | None:
    """Name of the first module with a non-finite output when `forward` runs the model again.

    None if all outputs are finite, so the non-finite value is computed after the model.
    """
    found: list[str] = []

    def look(name: str) -> Callable[..., None]:
        def hook(_: torch.nn.Module, __: tuple[Any, ...], output: Any) -> None:
            if not found and isinstance(output, Tensor) and not bool(output.isfinite().all()):
                found.append(name)

        return hook

    handles = [m.register_forward_hook(look(name)) for name, m in model.named_modules()]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
