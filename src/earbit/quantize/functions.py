"""Quantizers of 1 to 8 bits as functions, with the gradients of BiT and LSQ.

They run the same autograd function as the quantized leaves (`product.py`), so their values and
gradients are those of training.
"""

from __future__ import annotations

from torch import Tensor

from earbit.nn.leaves import NumberSet
from earbit.nn.precision import Granularity
from earbit.quantize.codes import lsq_factor
from earbit.quantize.product import quantized_codes
from earbit.quantize.quantizers import GivenScale, WeightQuantizer


def quantize_signed(
    x: Tensor, scale: Tensor, bits: int, gradient_factor: float | None = None
) -> Tensor:
    """The multiple of `scale` nearest to x, from -2^(bits-1) to 2^(bits-1) - 1 (arXiv 1902.08153).

    One bit gives {-scale, +scale}, +scale where x >= 0 (arXiv 2205.13016).

    x: any shape;  scale: > 0, broadcastable to x;  gradient_factor: multiplies the gradient of the
    scale; by default LSQ's 1/sqrt(elements of x per element of the scale x greatest code).
    """
    return _quantize(x, scale, bits, "signed", gradient_factor)


def quantize_unsigned(
    x: Tensor, scale: Tensor, bits: int, gradient_factor: float | None = None
) -> Tensor:
    """The multiple of `scale` nearest to x, from 0 to 2^bits - 1; arguments as `quantize_signed`.

    In one bit x = scale/2 gives 0.
    """
    return _quantize(x, scale, bits, "unsigned", gradient_factor)


def binarize_signed(
    x: Tensor,
    scale: Tensor,
    shift: Tensor | float = 0.0,
    gradient_factor: float | None = None,
) -> Tensor:
    """Elastic binarization to {-a, +a}: +a where x + shift >= 0 (arXiv 2205.13016).

    scale: a > 0, broadcastable to x;  shift: broadcastable to x, in units of x, whose gradient is
    that of x, summed;  gradient_factor: as in `quantize_signed`.
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


def binarize_weight(weight: Tensor, granularity: Granularity = "channel") -> Tensor:
    """`m * sign(W - mean(W))` with m = mean|W| of each output channel, or of the tensor (BiT).

    weight: output channels first.  The mean that is subtracted is the tensor's in both cases.  The
    gradient of the result is the gradient of W; m and the mean are constants.
    """
    quantizer = WeightQuantizer(1, granularity, weight)
    codes = quantized_codes(weight, quantizer)
    return codes * quantizer.step(weight).view(-1, *(1,) * (weight.dim() - 1))


def _quantize(
    x: Tensor, scale: Tensor, bits: int, number_set: NumberSet, gradient_factor: float | None
) -> Tensor:
    if gradient_factor is None:
        gradient_factor = lsq_factor(x.numel() / max(scale.numel(), 1), bits, number_set)
    quantizer = GivenScale(scale, bits, number_set, gradient_factor)
    return quantized_codes(x, quantizer) * scale.detach()
