"""Quantizers of 2 to 8 bits with a learned step (LSQ, arXiv 1902.08153), as BiT uses them.

One departure from BiT's code: the unsigned set starts at zero, not at the smallest number of the
batch, which would make a result depend on its batch mates.

As with one bit, products are computed on integer codes and scaled afterwards.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from earbit.nn.leaves import NumberSet
from earbit.quantize.binarize import (
    binarize_signed,
    binarize_unsigned,
    lsq_factor,
    signed_units,
    unsigned_units,
)


def code_range(bits: int, number_set: NumberSet) -> tuple[int, int]:
    """The least and the greatest code: -2^(bits-1) and 2^(bits-1) - 1, or 0 and 2^bits - 1.

    The signed set of one bit is -1 and 1.
    """
    if number_set == "unsigned":
        return 0, 2**bits - 1
    return (-1, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def codes(
    x: Tensor,
    scale: Tensor,
    bits: int,
    number_set: NumberSet,
    gradient_factor: float | None = None,
) -> Tensor:
    """`clamp(round(x / scale))` to the codes of the set; times `scale` it is the quantized x.

    x: any shape, shift already added;  scale: > 0, broadcastable to x;  bits: 1 is BiT's
    binarization;  gradient_factor: multiplies the gradient of the scale, 1/sqrt(n greatest code) by
    default, n the elements of x per element of scale.  Halves go to the even code.
    Gradient, of the product with the scale: to x between the ends of the set; to the scale the sum
    of grad * t, t the code at an end, round(x/scale) - x/scale between.
    """
    if bits == 1:
        one_bit = signed_units if number_set == "signed" else unsigned_units
        return one_bit(x, scale, gradient_factor)
    low, high = code_range(bits, number_set)
    factor = gradient_factor
    if factor is None:
        factor = lsq_factor(x.numel() / max(scale.numel(), 1) * high)
    found: Tensor = _Codes.apply(x, scale, low, high, factor)  # type: ignore[no-untyped-call]
    return found


def quantize_signed(
    x: Tensor, scale: Tensor, bits: int, gradient_factor: float | None = None
) -> Tensor:
    """X to the nearest multiple of `scale` from -2^(bits-1) to 2^(bits-1) - 1; see `codes`."""
    if bits == 1:
        return binarize_signed(x, scale, gradient_factor=gradient_factor)
    return codes(x, scale, bits, "signed", gradient_factor) * scale.detach()


def quantize_unsigned(
    x: Tensor, scale: Tensor, bits: int, gradient_factor: float | None = None
) -> Tensor:
    """X to the nearest multiple of `scale` from 0 to 2^bits - 1; see `codes`."""
    if bits == 1:
        return binarize_unsigned(x, scale, gradient_factor=gradient_factor)
    return codes(x, scale, bits, "unsigned", gradient_factor) * scale.detach()


class _Codes(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, low: int, high: int, gradient_factor: float
    ) -> Tensor:
        ctx.save_for_backward(x, scale)
        ctx.range, ctx.gradient_factor = (low, high), gradient_factor
        return (x / scale).round_().clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, scale = ctx.saved_tensors
        low, high = ctx.range
        grad, q = grads[0] / scale, x / scale
        grad_x = grad * ((q >= low) & (q <= high))
        # The code at an end, and what rounding moved between the ends.
        by_element = grad * q.round().clamp_(low, high) - grad_x * q
        grad_scale = by_element.sum_to_size(scale.shape) * ctx.gradient_factor
        return grad_x, grad_scale, None, None, None
