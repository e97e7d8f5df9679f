"""Builds modules on the meta device: shapes of all tensors, without values or memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_FILLS = {torch.Tensor.normal_, torch.Tensor.uniform_}


class _WithoutNumbers(TorchFunctionMode):
    """Skips initialisation and weight norm, for which PyTorch imports its compiler (seconds)."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Calls the function, or returns an empty tensor with the shape of its result."""
        kwargs = kwargs or {}
        if func in _FILLS or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        # Weight norm: norms of the slices of a weight along a dimension, and the normed weight.
        if func is torch.norm_except_dim:
            weight, _, dim = args
            return weight.new_empty([n if i == dim else 1 for i, n in enumerate(weight.shape)])
        if func is torch._weight_norm:
            return torch.empty_like(args[0])
        return func(*args, **kwargs)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Context in which new modules are on the meta device and not initialised."""
    with torch.device("meta"), _WithoutNumbers():
        yield
