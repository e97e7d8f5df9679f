"""The binarizers of BiT (arXiv 2205.13016), as functions with their own gradients.

Two departures from the authors' code: zero belongs to +a, so that a bit can hold it, and the
scale's gradient factor is an argument.  Shifts are added by the caller: the gradient of a shift is
the gradient of x, summed.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

Granularity = Literal["channel", "tensor"]
MIN_SCALE = 1e-5
"""Floor of every learned scale: a scale that trains through zero would turn its set around."""


def binarize_signed(x: Tensor, scale: Tensor, gradient_factor: float | None = None) -> Tensor:
    """Elastic binarization to {-a, +a}: +a where x >= 0.

    x: any shape, shift already added;  scale: a > 0, scalar;  gradient_factor: multiplies the
    gradient of a, 1/sqrt(number of elements) by default (LSQ, arXiv 1902.08153).
    Gradient: to x where |x| <= a; to a the sum of grad * sign(x).
    """
    y: Tensor = _BinarizeSigned.apply(x, scale, gradient_factor)  # type: ignore[no-untyped-call]
    return y


def binarize_unsigned(x: Tensor, scale: Tensor, gradient_factor: float | None = None) -> Tensor:
    """Elastic binarization to {0, a}: a where x > a/2.

    Arguments as in `binarize_signed`.  Gradient: to x where 0 <= x <= a; to a the sum of
    grad * t with t = 0 below 0, 1 above a, and round(x/a) - x/a between.
    """
    y: Tensor = _BinarizeUnsigned.apply(x, scale, gradient_factor)  # type: ignore[no-untyped-call]
    return y


def binarize_weight(weight: Tensor, granularity: Granularity = "channel") -> Tensor:
    """`m * sign(W - mean(W))` with m = mean|W| of each output channel, or of the tensor (BiT).

    weight: output channels first.  The mean that is subtracted is the tensor's in both cases.
    Gradient: straight through to W, nothing through m or the mean.
    """
    y: Tensor = _BinarizeWeight.apply(weight, granularity)  # type: ignore[no-untyped-call]
    return y


def weight_bits(weight: Tensor) -> Tensor:
    """True where the binarized weight is +m: the bits that a packed file holds."""
    return weight >= weight.mean()


def weight_scale(weight: Tensor, granularity: Granularity) -> Tensor:
    """The m of `binarize_weight`, shaped to broadcast over the weight."""
    if granularity == "tensor":
        return weight.abs().mean().expand(weight.shape[0], *[1] * (weight.dim() - 1))
    return weight.abs().mean(dim=tuple(range(1, weight.dim())), keepdim=True)


class _BinarizeSigned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, gradient_factor: float | None) -> Tensor:
        is_plus = x >= 0
        ctx.save_for_backward(is_plus, x.abs() <= scale)
        ctx.gradient_factor = _factor(x, gradient_factor)
        return torch.where(is_plus, scale, -scale).to(x.dtype)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (grad,) = grads
        is_plus, is_inside = ctx.saved_tensors  # type: ignore[attr-defined]
        grad_scale = torch.where(is_plus, grad, -grad).sum() * ctx.gradient_factor  # type: ignore[attr-defined]
        return grad * is_inside, grad_scale, None


class _BinarizeUnsigned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, gradient_factor: float | None) -> Tensor:
        ctx.save_for_backward(x, scale)
        ctx.gradient_factor = _factor(x, gradient_factor)
        return torch.where(x > scale / 2, scale, torch.zeros_like(scale)).to(x.dtype)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (grad,) = grads
        x, scale = ctx.saved_tensors  # type: ignore[attr-defined]
        is_inside = (x >= 0) & (x <= scale)
        is_on = (x > scale / 2).to(grad.dtype)
        # round(q) - q inside; outside, q is clamped to 0 or 1, which is what `is_on` already says.
        t = is_on - torch.where(is_inside, x / scale, torch.zeros_like(x))
        grad_scale = (grad * t).sum() * ctx.gradient_factor  # type: ignore[attr-defined]
        return grad * is_inside, grad_scale, None


class _BinarizeWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, granularity: Granularity) -> Tensor:
        scale = weight_scale(weight, granularity)
        return torch.where(weight_bits(weight), scale, -scale)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def _factor(x: Tensor, gradient_factor: float | None) -> float:
    return 1 / math.sqrt(max(x.numel(), 1)) if gradient_factor is None else gradient_factor
