"""Quantizers as functions from real values to quantized real values.

Each is the product of `earbit.quantize.product` that the quantized leaves compute, of codes and
their step: same codes, same gradients.
"""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from earbit.errors import require_choice, require_range
from earbit.nn.precision import Granularity
from earbit.quantize.codes import ScaledCodes
from earbit.quantize.product import ElementwiseProduct, quantized_product
from earbit.quantize.weights import SignCodes, weight_scale


def quantize_signed(
    x: Tensor, scale: Tensor, bits: int, gradient_factor: float | None = None
) -> Tensor:
    """Rounds to a multiple of `scale` from -2^(bits-1) to 2^(bits-1) - 1 (LSQ, arXiv 1902.08153).

    x: any shape.  scale: > 0, broadcastable to x.  bits: 1 to 8, where one bit is
    `binarize_signed`.  gradient_factor: multiplies the gradient of the scale, by default
    1/sqrt(n 2^(bits-1) - n) (at least 1/sqrt(n)) with n elements of x per element of the scale.
    Gradient: to x between the ends of the range; to the scale of LSQ.
    """
    return _quantized(x, ScaledCodes(scale, bits, "signed", None, gradient_factor))


def quantize_unsigned(
    x: Tensor, scale: Tensor, bits: int, gradient_factor: float | None = None
) -> Tensor:
    """Rounds to a multiple of `scale` from 0 to 2^bits - 1; arguments as `quantize_signed`.

    One bit is `binarize_unsigned`.
    """
    return _quantized(x, ScaledCodes(scale, bits, "unsigned", None, gradient_factor))


def binarize_signed(
    x: Tensor,
    scale: Tensor,
    shift: Tensor | float = 0.0,
    gradient_factor: float | None = None,
) -> Tensor:
    """Elastic binarization to {-a, +a}: +a where x + shift >= 0 (BiT, arXiv 2205.13016).

    x: any shape.  scale: a > 0, broadcastable to x.  shift: broadcastable to x, in units of x.
    gradient_factor: as in `quantize_signed`.
    Gradient: to x and to the shift where |x + shift| <= a; to the scale the sign of x + shift.
    """
    return _quantized(x, ScaledCodes(scale, 1, "signed", _shift(x, shift), gradient_factor))


def binarize_unsigned(
    x: Tensor,
    scale: Tensor,
    shift: Tensor | float = 0.0,
    gradient_factor: float | None = None,
) -> Tensor:
    """Elastic binarization to {0, a}: a where x + shift > a/2; arguments as `binarize_signed`.

    Gradient: to x and to the shift where 0 <= x + shift <= a; to the scale of LSQ.
    """
    return _quantized(x, ScaledCodes(scale, 1, "unsigned", _shift(x, shift), gradient_factor))


def binarize_weight(weight: Tensor, granularity: Granularity = "channel") -> Tensor:
    """`m * sign(W - mean(W))` with m = mean|W| of each output channel, or of the tensor (BiT).

    weight: output channels first.  The mean that is subtracted is the tensor's in both cases.
    Gradient: straight through to W, nothing through m or the mean.
    """
    require_choice(get_args(Granularity), granularity=granularity)
    step = weight_scale(weight, granularity)
    return quantized_product(ElementwiseProduct(), weight, step, SignCodes(granularity), None)


def _quantized(x: Tensor, coding: ScaledCodes) -> Tensor:
    require_range(1, 9, bits=coding.bits)
    return quantized_product(ElementwiseProduct(), x, coding.step, coding, None)


def _shift(x: Tensor, shift: Tensor | float) -> Tensor:
    return shift if isinstance(shift, Tensor) else torch.as_tensor(shift).to(x)
