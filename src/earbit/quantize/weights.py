"""One-bit weights of BiT (arXiv 2205.13016): signs around the mean, times mean|W|."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from earbit.nn.precision import Granularity
from earbit.quantize.codes import MIN_WEIGHT_SCALE, Gradients, at_least_scale


def weight_bits(weight: Tensor) -> Tensor:
    """Mask of weights that are binarized to +m: the bits of a packed file."""
    return weight >= weight.mean()


def weight_signs(weight: Tensor) -> Tensor:
    """+1 where the bit is one, else -1; without a gradient."""
    weight = weight.detach()
    into = torch.ge(weight, weight.mean(), out=torch.empty_like(weight))
    return torch.add(weight.new_tensor(-1.0), into, alpha=2, out=into)


def weight_scale(weight: Tensor, granularity: Granularity) -> Tensor:
    """mean|W| of every output channel, or of the tensor, shaped to broadcast over the weight.

    Without a gradient.  Channels of zeros keep a scale above zero.
    """
    size: Tensor = weight.detach().flatten(1).abs().mean(dim=1)
    if granularity == "tensor":
        size = size.mean().expand(len(size))
    return at_least_scale(size, MIN_WEIGHT_SCALE).view(-1, *[1] * (weight.dim() - 1))


@dataclass(frozen=True, slots=True)
class SignCodes:
    """Quantization of a weight to one bit: signs around the mean, times `weight_scale`.

    Calling it gives the codes; `gradient` is the other half of the same definition.
    """

    granularity: Granularity

    @property
    def learned(self) -> tuple[Tensor | None, ...]:
        """Empty, because only the weight is learned."""
        return ()

    def __call__(self, weight: Tensor) -> Tensor:
        """Codes of the weight, of its shape."""
        return weight_signs(weight)

    def gradient(
        self, weight: Tensor, found: Tensor, grad: Tensor, grad_padding: Tensor | None = None
    ) -> Gradients:
        """Gradient of the weight: straight through, and nothing through its mean or its scale.

        grad_padding: not read, a weight is not padded.
        """
        return grad / weight_scale(weight, self.granularity), ()
