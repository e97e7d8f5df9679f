"""One-bit weights as BiT has them (arXiv 2205.13016): signs around the mean, times mean|W|."""

from __future__ import annotations

import torch
from torch import Tensor

from earbit.nn.precision import Granularity
from earbit.quantize.codes import MIN_SCALE

MIN_WEIGHT_SCALE = MIN_SCALE**2
"""All-zero channels keep a scale above zero: gradients are divided by it."""


def weight_bits(weight: Tensor) -> Tensor:
    """True where the binarized weight is +m: the bits that a packed file holds."""
    return weight >= weight.mean()


def weight_signs(weight: Tensor) -> Tensor:
    """+1 where the bit is one, else -1; without a gradient."""
    weight = weight.detach()
    into = torch.ge(weight, weight.mean(), out=torch.empty_like(weight))
    return torch.add(weight.new_tensor(-1.0), into, alpha=2, out=into)


def weight_scale(weight: Tensor, granularity: Granularity) -> Tensor:
    """mean|W| of each output channel or of the tensor (BiT), shaped to broadcast over the weight.

    Without gradient.
    """
    size: Tensor = weight.detach().flatten(1).abs().mean(dim=1)
    if granularity == "tensor":
        size = size.mean().expand(len(size))
    return size.clamp_min(MIN_WEIGHT_SCALE).view(-1, *[1] * (weight.dim() - 1))
