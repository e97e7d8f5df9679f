"""The binarizers of BiT (arXiv 2205.13016), as functions with their own gradients.

Two departures from the authors' code: zero belongs to +a, so that a bit can hold it, and the
scale's gradient factor is an argument.  The gradient of a shift is that of x, summed.

Products are computed on the units -1, 0 and +1 and scaled afterwards: sums of integers are exact in
floats, so training sees the very numbers that the packed runtime will, ties included.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from earbit.nn.precision import Granularity

MIN_SCALE = 1e-5
"""Floor of every learned scale: a scale that trains through zero would turn its set around."""


def signed_units(x: Tensor, scale: Tensor, gradient_factor: float | None = None) -> Tensor:
    """The signs of elastic binarization: +1 where x >= 0, else -1; times `scale` it is {-a, +a}.

    x: any shape, shift already added;  scale: a > 0, scalar;  gradient_factor: multiplies the
    gradient of a, 1/sqrt(number of elements) by default (LSQ, arXiv 1902.08153).
    Gradient, of the product with the scale: to x where |x| <= a; to a the sum of grad * sign(x).
    """
    units: Tensor = _SignedUnits.apply(x, scale, gradient_factor)  # type: ignore[no-untyped-call]
    return units


def unsigned_units(x: Tensor, scale: Tensor, gradient_factor: float | None = None) -> Tensor:
    """The bits of elastic binarization: 1 where x > a/2, else 0; times `scale` it is {0, a}.

    Arguments as in `signed_units`.  Gradient, of the product with the scale: to x where
    0 <= x <= a; to a the sum of grad * t, t = 0 below 0, 1 above a, round(x/a) - x/a between.
    """
    units: Tensor = _UnsignedUnits.apply(x, scale, gradient_factor)  # type: ignore[no-untyped-call]
    return units


def weight_units(weight: Tensor, granularity: Granularity) -> Tensor:
    """The signs of a binarized weight, +1 or -1; times `weight_scale` it is `binarize_weight`."""
    units: Tensor = _WeightUnits.apply(weight, granularity)  # type: ignore[no-untyped-call]
    return units


def binarize_signed(
    x: Tensor,
    scale: Tensor,
    shift: Tensor | float = 0.0,
    gradient_factor: float | None = None,
) -> Tensor:
    """Elastic binarization to {-a, +a}: +a where x + shift >= 0.

    shift: broadcastable to x, in units of x;  otherwise as `signed_units`.
    """
    return signed_units(x + shift, scale, gradient_factor) * scale.detach()


def binarize_unsigned(
    x: Tensor,
    scale: Tensor,
    shift: Tensor | float = 0.0,
    gradient_factor: float | None = None,
) -> Tensor:
    """Elastic binarization to {0, a}: a where x + shift > a/2.

    shift: broadcastable to x, in units of x;  otherwise as `unsigned_units`.
    """
    return unsigned_units(x + shift, scale, gradient_factor) * scale.detach()


def binarize_weight(weight: Tensor, granularity: Granularity = "channel") -> Tensor:
    """`m * sign(W - mean(W))` with m = mean|W| of each output channel, or of the tensor (BiT).

    weight: output channels first.  The mean that is subtracted is the tensor's in both cases.
    Gradient: straight through to W, nothing through m or the mean.
    """
    return weight_units(weight, granularity) * weight_scale(weight, granularity)


def weight_bits(weight: Tensor) -> Tensor:
    """True where the binarized weight is +m: the bits that a packed file holds."""
    return weight >= weight.mean()


def weight_scale(weight: Tensor, granularity: Granularity) -> Tensor:
    """The m of `binarize_weight`, without gradient, shaped to broadcast over the weight."""
    size = weight.detach().abs()
    if granularity == "tensor":
        return size.mean().clamp_min(MIN_SCALE**2).expand(len(size), *[1] * (size.dim() - 1))
    # All-zero channels keep a scale above zero: gradients are divided by it.
    return size.mean(dim=tuple(range(1, size.dim())), keepdim=True).clamp_min(MIN_SCALE**2)


class _SignedUnits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, gradient_factor: float | None) -> Tensor:
        is_plus = x >= 0
        ctx.save_for_backward(is_plus, x.abs() <= scale, scale)
        ctx.gradient_factor = _factor(x, gradient_factor)
        return is_plus.to(x.dtype) * 2 - 1

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        is_plus, is_inside, scale = ctx.saved_tensors
        grad = grads[0] / scale
        grad_scale = torch.where(is_plus, grad, -grad).sum() * ctx.gradient_factor
        return grad * is_inside, grad_scale, None


class _UnsignedUnits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, gradient_factor: float | None) -> Tensor:
        ctx.save_for_backward(x, scale)
        ctx.gradient_factor = _factor(x, gradient_factor)
        return (x > scale / 2).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x, scale = ctx.saved_tensors
        grad = grads[0] / scale
        is_inside = (x >= 0) & (x <= scale)
        is_on = (x > scale / 2).to(grad.dtype)
        # round(q) - q inside; outside, q is clamped to 0 or 1, which is what `is_on` already says.
        t = is_on - torch.where(is_inside, x / scale, torch.zeros_like(x))
        grad_scale = (grad * t).sum() * ctx.gradient_factor
        return grad * is_inside, grad_scale, None


class _WeightUnits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, granularity: Granularity) -> Tensor:
        ctx.save_for_backward(weight_scale(weight, granularity))
        return weight_bits(weight).to(weight.dtype) * 2 - 1

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (scale,) = ctx.saved_tensors
        return grads[0] / scale, None


def lsq_factor(n_elements: float) -> float:
    """What the gradient of a scale is multiplied by: 1/sqrt(elements) (LSQ, arXiv 1902.08153)."""
    return 1 / math.sqrt(max(n_elements, 1))


def _factor(x: Tensor, gradient_factor: float | None) -> float:
    return lsq_factor(x.numel()) if gradient_factor is None else gradient_factor
