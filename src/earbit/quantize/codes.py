"""Quantizers of 1 to 8 bits as functions, with the gradients of BiT and LSQ.

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
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

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


def codes(
    x: Tensor,
    scale: Tensor,
    bits: int,
    number_set: NumberSet,
    gradient_factor: float | None = None,
) -> Tensor:
    """`codes_of` with the gradient of `codes_gradient`; times `scale` it is the quantized x.

    x: any shape, shift already added;  scale: > 0, broadcastable to x;  gradient_factor: multiplies
    the gradient of the scale, that of LSQ by default, elements of x per element of the scale.
    """
    if gradient_factor is None:
        gradient_factor = lsq_factor(x.numel() / max(scale.numel(), 1), bits, number_set)
    found: Tensor = _Codes.apply(x, scale, bits, number_set, gradient_factor)  # type: ignore[no-untyped-call]
    return found


def quantize_signed(
    x: Tensor, scale: Tensor, bits: int, gradient_factor: float | None = None
) -> Tensor:
    """To the nearest multiple of `scale` from -2^(bits-1) to 2^(bits-1) - 1; see `codes`."""
    return codes(x, scale, bits, "signed", gradient_factor) * scale.detach()


def quantize_unsigned(
    x: Tensor, scale: Tensor, bits: int, gradient_factor: float | None = None
) -> Tensor:
    """To the nearest multiple of `scale` from 0 to 2^bits - 1; see `codes`."""
    return codes(x, scale, bits, "unsigned", gradient_factor) * scale.detach()


def binarize_signed(
    x: Tensor,
    scale: Tensor,
    shift: Tensor | float = 0.0,
    gradient_factor: float | None = None,
) -> Tensor:
    """Elastic binarization to {-a, +a}: +a where x + shift >= 0.

    scale: a > 0, scalar;  shift: broadcastable to x, in units of x, whose gradient is that of x,
    summed;  gradient_factor: as in `codes`.
    """
    return quantize_signed(x + shift, scale, 1, gradient_factor)


def binarize_unsigned(
    x: Tensor,
    scale: Tensor,
    shift: Tensor | float = 0.0,
    gradient_factor: float | None = None,
) -> Tensor:
    """Elastic binarization to {0, a}: a where x + shift > a/2; arguments as `binarize_signed`."""
    return quantize_unsigned(x + shift, scale, 1, gradient_factor)


class _Codes(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scale: Tensor,
        bits: int,
        number_set: NumberSet,
        gradient_factor: float,
    ) -> Tensor:
        ctx.save_for_backward(x, scale)
        ctx.kind, ctx.gradient_factor = (bits, number_set), gradient_factor
        return codes_of(x, scale, bits, number_set)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, scale = ctx.saved_tensors
        bits, number_set = ctx.kind
        found = codes_of(x, scale, bits, number_set)
        grad_x, grad_scale = codes_gradient(x, scale, bits, number_set, found, grads[0])
        return grad_x, grad_scale * ctx.gradient_factor, None, None, None
