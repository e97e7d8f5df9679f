"""Codes of 1 to 8 bits with the gradients of BiT and LSQ.

A quantized number is a code, which is a small integer, times a scale.  One bit follows the elastic
binarization of BiT (arXiv 2205.13016), and more bits follow LSQ (arXiv 1902.08153).  Differences
from BiT's code: zero belongs to +scale, because one bit cannot represent it.  The unsigned set
starts at zero and not at the smallest value of the batch, so that a clip has the same result alone
and in a batch.  The factor on the gradient of a scale is an argument.

Products are computed on codes and scaled afterwards.  Sums of integers below 2^24 are exact in
float32: with 1 to 4 bits at every width of the presets, with 8 bits up to 1,024 terms, or 514 if
one operand is unsigned.  So training computes the same numbers as the packed runtime.  Under
autocast, sums are rounded, and in float16 those of 8 bits are computed in a smaller unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from earbit.nn.leaves import NumberSet
from earbit.nn.norms import at_least_float32

MIN_SCALE = 1e-5
"""Minimum of an activation's learned scale, since a negative scale would reverse its set."""
MIN_WEIGHT_SCALE = MIN_SCALE**2
"""Minimum of all other scales, which are divisors of codes and gradients."""

Gradients = tuple[Tensor, tuple[Tensor | None, ...]]
"""Gradients of an operand, and of the tensors in `learned`."""


def at_least_scale(scale: Tensor, least: float) -> Tensor:
    """The scale, not below `least` nor below the smallest normal number of its type."""
    return scale.clamp_min(max(least, torch.finfo(scale.dtype).tiny))


def code_range(bits: int, number_set: NumberSet) -> tuple[int, int]:
    """Minimum and maximum code: -2^(bits-1) and 2^(bits-1) - 1, or 0 and 2^bits - 1.

    The signed set of one bit is -1 and 1.
    """
    if number_set == "unsigned":
        return 0, 2**bits - 1
    return (-1, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def codes_of(x: Tensor, scale: Tensor, bits: int, number_set: NumberSet) -> Tensor:
    """Codes of x, of its shape and type, without a gradient.

    One signed bit: 1 where x >= 0, else -1.  One unsigned bit: 1 where x > scale/2, else 0.  More
    bits: `clamp(round(x / scale))`, where halves are rounded to even.  Non-finite values of x stay
    non-finite, so that training can report them.

    x: operand with its shift added, any shape.  scale: > 0, broadcastable to x.
    """
    zero = x.new_zeros(())
    if bits > 1:
        return (x / scale).round_().clamp_(*code_range(bits, number_set)).addcmul_(x, zero)
    # Comparisons write floats, several times as fast as `where` or booleans on a CPU.
    into = torch.empty_like(x, memory_format=torch.contiguous_format)
    if number_set == "signed":
        torch.ge(x, 0, out=into)
        return torch.add(zero - 1, into, alpha=2, out=into).addcmul_(x, zero)
    return torch.gt(x, scale / 2, out=into).addcmul_(x, zero)


def codes_gradient(
    x: Tensor, scale: Tensor, bits: int, number_set: NumberSet, found: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of x and of the scale through codes times scale (LSQ; BiT for one bit).

    The gradient of x passes where x lies between the ends of the set, in one signed bit where
    |x| <= scale.  The gradient of the scale is the sum of grad * t, where t is the code outside of
    the set and code - x/scale inside, in one signed bit the sign.  `lsq_factor` is not applied.

    x: operand with its shift.  found: its codes.  grad: gradient of the codes, of the shape of x.
    Returns gradients of the shapes of x and of the scale.
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
    """Factor on the gradient of a scale: 1/sqrt(elements x largest code) (LSQ, section 2.2)."""
    return 1 / math.sqrt(max(n_elements, 1) * code_range(bits, number_set)[1])


@dataclass(frozen=True, slots=True, eq=False)
class ScaledCodes:
    """Quantization of an operand to codes times a learned scale, after a learned shift.

    Calling it returns the codes, and `gradient` their gradients.
    """

    scale: Tensor
    """> 0, broadcastable to the operand."""
    bits: int
    number_set: NumberSet
    shift: Tensor | None = None
    """Added to the operand before quantization; broadcastable to it."""
    gradient_factor: float | None = None
    """Factor on the gradient of the scale; by default `lsq_factor` of the operand."""
    min_scale: float = MIN_WEIGHT_SCALE
    """Lower bound of the scale; smaller scales still receive gradients."""

    @property
    def learned(self) -> tuple[Tensor | None, ...]:
        """The tensors whose gradients `gradient` returns."""
        return self.scale, self.shift

    @property
    def step(self) -> Tensor:
        """The value of one code, without a gradient."""
        return at_least_scale(self.scale.detach(), self.min_scale)

    @property
    def zero_code(self) -> int:
        """The code of padding: 0, or -1 (bit 0) for one signed bit, which has no zero."""
        return code_range(self.bits, self.number_set)[0] if self.bits == 1 else 0

    def __call__(self, x: Tensor) -> Tensor:
        """Codes of x, of its shape."""
        return codes_of(self._shifted(x), self.step, self.bits, self.number_set)

    def gradient(
        self, x: Tensor, found: Tensor, grad: Tensor, grad_padding: Tensor | None = None
    ) -> Gradients:
        """Gradients of x, of the scale and of the shift.

        x: operand without its shift.  found: its codes.  grad: gradient of the codes.
        grad_padding: sum of the gradient over padding, whose `zero_code` the scale multiplies too.
        """
        kind = (self.bits, self.number_set)
        grad_x, grad_scale = codes_gradient(self._shifted(x), self.step, *kind, found, grad)
        if grad_padding is not None:
            grad_scale = grad_scale + self.zero_code * grad_padding / self.step
        factor = self.gradient_factor
        if factor is None:
            factor = lsq_factor(x.numel() / max(self.scale.numel(), 1), *kind)
        grad_shift = None if self.shift is None else grad_x.sum_to_size(self.shift.shape)
        return grad_x, (grad_scale * factor, grad_shift)

    def _shifted(self, x: Tensor) -> Tensor:
        return x if self.shift is None else x + self.shift
