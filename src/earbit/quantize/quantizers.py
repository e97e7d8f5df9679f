"""What a quantized leaf does to its operands: the state of a quantizer, its codes, their gradient.

`forward` and `gradient` are separate, so that a product can keep the operand itself for the
backward pass and compute its codes again there (`product.py`).  Scales and shifts are ordinary
parameters; `calibrate` gives those of activations their first values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from earbit.nn.leaves import NumberSet
from earbit.nn.precision import Granularity
from earbit.quantize.codes import (
    MIN_SCALE,
    code_range,
    codes_gradient,
    codes_of,
    lsq_factor,
)
from earbit.quantize.scale_search import least_squares_scale
from earbit.quantize.weights import weight_scale, weight_signs

Gradients = tuple[Tensor, tuple[Tensor | None, ...]]
"""Of the operand, and of what `learned` names."""


class ActivationQuantizer(torch.nn.Module):
    """An activation's codes: any shape -> the same, with one scale and, by channel, a shift.

    n_channels: of the shift, None for none;  channel_axis: where they are, from the end.
    """

    def __init__(
        self,
        bits: int,
        number_set: NumberSet,
        *,
        n_channels: int | None = None,
        channel_axis: int = -1,
    ) -> None:
        super().__init__()
        self.bits = bits
        self.number_set: NumberSet = number_set
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.shift: torch.nn.Parameter | None = None
        if n_channels is not None:
            self.shift = torch.nn.Parameter(torch.zeros(n_channels))
        self.trailing = (1,) * (-1 - channel_axis)

    def shifted(self, x: Tensor) -> Tensor:
        """What is compared with thresholds: x plus the shift of its channel."""
        return x if self.shift is None else x + self.shift.view(-1, *self.trailing)

    def step(self) -> Tensor:
        """What one code is worth: the scale, kept above zero."""
        return self.scale.detach().clamp_min(MIN_SCALE)

    @property
    def zero_code(self) -> int:
        """The code of padding: 0, or -1 for the two codes that have no zero (bit 0)."""
        return code_range(self.bits, self.number_set)[0] if self.bits == 1 else 0

    @property
    def learned(self) -> tuple[Tensor | None, ...]:
        """The parameters whose gradients `gradient` gives."""
        return self.scale, self.shift

    def forward(self, x: Tensor) -> Tensor:
        """Codes of x."""
        return codes_of(self.shifted(x), self.step(), self.bits, self.number_set)

    def gradient(
        self, x: Tensor, found: Tensor, grad: Tensor, grad_padding: Tensor | None = None
    ) -> Gradients:
        """Gradients of x and of scale and shift, given its codes and their gradient.

        grad_padding: summed over what was padded with `zero_code`, which the scale multiplies too.
        """
        kind = (self.bits, self.number_set)
        grad_x, grad_scale = codes_gradient(self.shifted(x), self.step(), *kind, found, grad)
        if grad_padding is not None:
            grad_scale = grad_scale + self.zero_code * grad_padding / self.step()
        # Also below its floor, so that a scale can come back from there.
        grad_scale = grad_scale * lsq_factor(x.numel(), *kind)
        grad_shift = None
        if self.shift is not None:
            shape = (len(self.shift), *self.trailing)
            grad_shift = grad_x.sum_to_size(shape).view(-1)
        return grad_x, (grad_scale, grad_shift)


class WeightQuantizer(torch.nn.Module):
    """A weight's codes, output channels first, and their steps.

    One bit is BiT's: signs around the mean, times mean|W|, nothing learned but the weight.  More
    bits have a learned scale for every output channel, or one for all, as in LSQ.  It is its
    logarithm that is learned: a scale of 8 bits is smaller than one step of Adam, which would
    take it through zero.
    """

    def __init__(self, bits: int, granularity: Granularity, weight: Tensor) -> None:
        super().__init__()
        self.bits = bits
        self.granularity: Granularity = granularity
        self.log_scale: torch.nn.Parameter | None = None
        if bits > 1:
            rows = weight.detach().reshape(len(weight) if granularity == "channel" else 1, -1)
            self.log_scale = torch.nn.Parameter(least_squares_scale(rows, bits, "signed").log())

    def step(self, weight: Tensor) -> Tensor:
        """What a code of every output channel is worth: (C_out,)."""
        return self._step_of_rows(weight).flatten().expand(len(weight))

    @property
    def learned(self) -> tuple[Tensor | None, ...]:
        """The parameters whose gradients `gradient` gives."""
        return (self.log_scale,)

    def forward(self, weight: Tensor) -> Tensor:
        """Codes of the weight, of its shape."""
        if self.log_scale is None:
            return weight_signs(weight)
        return codes_of(weight, self._step_of_rows(weight), self.bits, "signed")

    def gradient(
        self, weight: Tensor, found: Tensor, grad: Tensor, grad_padding: Tensor | None = None
    ) -> Gradients:
        """Gradients of the weight and of the scale, given its codes and their gradient.

        grad_padding: not read, a weight is not padded.
        """
        step = self._step_of_rows(weight)
        if self.log_scale is None:
            return grad / step, (None,)
        grad_weight, grad_scale = codes_gradient(weight, step, self.bits, "signed", found, grad)
        factor = lsq_factor(weight.numel() / self.log_scale.numel(), self.bits)
        grad_log = (grad_scale * step).view_as(self.log_scale)
        return grad_weight, (grad_log * factor,)

    def _step_of_rows(self, weight: Tensor) -> Tensor:
        """The steps, shaped to broadcast over the weight."""
        if self.log_scale is None:
            return weight_scale(weight, self.granularity)
        return self.log_scale.detach().exp().view(-1, *(1,) * (weight.dim() - 1))


@dataclass(frozen=True, slots=True)
class GivenScale:
    """Codes for a scale that someone else holds: a tensor > 0, broadcastable to the operand."""

    scale: Tensor
    bits: int
    number_set: NumberSet
    gradient_factor: float
    """Multiplies the gradient of the scale."""

    @property
    def learned(self) -> tuple[Tensor | None, ...]:
        """The tensors whose gradients `gradient` gives."""
        return (self.scale,)

    def forward(self, x: Tensor) -> Tensor:
        """Codes of x."""
        return codes_of(x, self.scale.detach(), self.bits, self.number_set)

    def gradient(
        self, x: Tensor, found: Tensor, grad: Tensor, grad_padding: Tensor | None = None
    ) -> Gradients:
        """Gradients of x and of the scale, given its codes and their gradient.

        grad_padding: not read, there is no padding.
        """
        scale = self.scale.detach()
        grad_x, grad_scale = codes_gradient(x, scale, self.bits, self.number_set, found, grad)
        return grad_x, (grad_scale * self.gradient_factor,)

    __call__ = forward


Quantizer = ActivationQuantizer | WeightQuantizer | GivenScale
