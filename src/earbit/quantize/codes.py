"""Codes of 1 to 8 bits and their gradients, those of BiT and LSQ.

A quantized number is a code, a small integer, times a scale.  One bit is BiT's elastic binarization
(arXiv 2205.13016), more bits are LSQ's (arXiv 1902.08153), as BiT uses them.  Departures from BiT's
code: zero belongs to +a, so that a bit can hold it; the unsigned set starts at zero, not at the
smallest number of the batch, which would make a result depend on its batch mates; and the factor on
the gradient of a scale is an argument.

Products are computed on codes and scaled afterwards: sums of integers below 2^24 are exact in
float32 (1 to 4 bits at every width here; 8 bits up to 1,024 terms at their worst, 514 where one
side is unsigned), so training sees the very numbers that the packed runtime will, ties included.
Under autocast sums are rounded.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from earbit.nn.leaves import NumberSet
from earbit.nn.norms import at_least_float32

MIN_SCALE = 1e-5
"""Floor of every learned scale: a scale that trains through zero would turn its set around."""


def code_range(bits: int, number_set: NumberSet) -> tuple[int, int]:
    """The least and the greatest code: -2^(bits-1) and 2^(bits-1) - 1, or 0 and 2^bits - 1.

    The signed set of one bit is -1 and 1.
    """
    if number_set == "unsigned":
        return 0, 2**bits - 1
    return (-1, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def codes_of(x: Tensor, scale: Tensor, bits: int, number_set: NumberSet) -> Tensor:
    """The code of every number of x, shift already added, without a gradient.

    One signed bit: 1 where x >= 0, else -1.  One unsigned bit: 1 where x > scale/2, else 0.
    More: `clamp(round(x / scale))`; halves go to the even code.  What is not finite has no code: it
    stays not finite, so that training can say where it came from.
    """
    zero = x.new_zeros(())
    if bits > 1:
        return (x / scale).round_().clamp_(*code_range(bits, number_set)).addcmul_(x, zero)
    # Comparisons into floats: several times as fast as `where` or booleans on a CPU.
    into = torch.empty_like(x, memory_format=torch.contiguous_format)
    if number_set == "signed":
        torch.ge(x, 0, out=into)
        return torch.add(zero - 1, into, alpha=2, out=into).addcmul_(x, zero)
    return torch.gt(x, scale / 2, out=into).addcmul_(x, zero)


def codes_gradient(
    x: Tensor, scale: Tensor, bits: int, number_set: NumberSet, found: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of x and of the scale, given its codes and theirs; the latter without its factor.

    Of the product of codes and scale, that is: to x where it lies between the ends of the set, in
    one signed bit where |x| <= scale; to the scale the sum of grad * t, where t is the code outside
    and code - x/scale inside, in one signed bit the sign.
    """
    # Under autocast an operand has fewer bits than its shift, and so than its codes.
    grad = grad.to(found.dtype) / scale
    by_scale = at_least_float32(grad * found).sum_to_size(scale.shape)
    if bits == 1 and number_set == "signed":
        return x.abs().le_(scale).mul_(grad), by_scale
    q = x / scale
    grad_x = q.clamp(*code_range(bits, number_set)).eq_(q).mul_(grad)
    return grad_x, by_scale - at_least_float32(grad_x * q).sum_to_size(scale.shape)


def lsq_factor(n_elements: float, bits: int = 1, number_set: NumberSet = "signed") -> float:
    """What the gradient of a scale is multiplied by: 1/sqrt(elements x greatest code) (LSQ)."""
    return 1 / math.sqrt(max(n_elements, 1) * code_range(bits, number_set)[1])
