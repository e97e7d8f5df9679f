"""One-bit weights as BiT has them (arXiv 2205.13016): signs around the mean, times mean|W|."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from earbit.nn.precision import Granularity
from earbit.quantize.codes import MIN_SCALE

MIN_WEIGHT_SCALE = MIN_SCALE**2
"""All-zero channels keep a scale above zero: gradients are divided by it."""


def binarize_weight(weight: Tensor, granularity: Granularity = "channel") -> Tensor:
    """`m * sign(W - mean(W))` with m = mean|W| of each output channel, or of the tensor (BiT).

    weight: output channels first.  The mean that is subtracted is the tensor's in both cases.
    Gradient: straight through to W, nothing through m or the mean.
    """
    scale = weight_scale(weight, granularity)
    signs: Tensor = _WeightSigns.apply(weight, scale)  # type: ignore[no-untyped-call]
    return signs * scale


def weight_bits(weight: Tensor) -> Tensor:
    """True where the binarized weight is +m: the bits that a packed file holds."""
    return weight >= weight.mean()


def weight_signs(weight: Tensor) -> Tensor:
    """+1 where the bit is one, else -1; without a gradient."""
    weight = weight.detach()
    into = torch.ge(weight, weight.mean(), out=torch.empty_like(weight))
    return torch.add(weight.new_tensor(-1.0), into, alpha=2, out=into)


def weight_scale(weight: Tensor, granularity: Granularity) -> Tensor:
    """The m of `binarize_weight`, without gradient, shaped to broadcast over the weight."""
    size: Tensor = weight.detach().flatten(1).abs().mean(dim=1)
    if granularity == "tensor":
        size = size.mean().expand(len(size))
    return size.clamp_min(MIN_WEIGHT_SCALE).view(-1, *[1] * (weight.dim() - 1))


class _WeightSigns(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(scale)
        return weight_signs(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (scale,) = ctx.saved_tensors
        return grads[0] / scale, None
