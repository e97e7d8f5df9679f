"""Modules with shapes and without numbers, on the meta device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_FILLS = {torch.Tensor.normal_, torch.Tensor.uniform_}


class _WithoutNumbers(TorchFunctionMode):
    """Skips what computes numbers of weights: PyTorch imports its compiler for it (seconds)."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Runs the function, or returns a tensor of the shape of its result."""
        kwargs = kwargs or {}
        if func in _FILLS or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        # Weight norm: the norms of the slices of a weight along a dimension, and their product.
        if func is torch.norm_except_dim:
            weight, _, dim = args
            return weight.new_empty([n if i == dim else 1 for i, n in enumerate(weight.shape)])
        if func is torch._weight_norm:
            return torch.empty_like(args[0])
        return func(*args, **kwargs)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Context that builds modules on the meta device, which allocates no memory."""
    with torch.device("meta"), _WithoutNumbers():
        yield
