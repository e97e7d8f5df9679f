"""The learned state of a quantized leaf: one quantizer for each of its operands.

Scales and shifts are ordinary parameters; `calibrate` gives those of activations their first
values.  Codes and gradients are those of `codes.ScaledCodes` and `weights.SignCodes`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from earbit.nn.leaves import NumberSet
from earbit.nn.norms import at_least_float32
from earbit.nn.precision import Granularity
from earbit.quantize.codes import MIN_SCALE, ScaledCodes
from earbit.quantize.scale_search import least_squares_scale
from earbit.quantize.weights import SignCodes, weight_scale


class ActivationQuantizer(torch.nn.Module):
    """An activation's codes: any shape -> the same, with one scale and, by channel, a shift.

    n_channels: of the shift, None for none.  channel_axis: where they are, from the end.
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

    @property
    def coding(self) -> ScaledCodes:
        """Codes and gradients with the present scale and shift."""
        shift = None if self.shift is None else self.shift.view(-1, *self.trailing)
        return ScaledCodes(self.scale, self.bits, self.number_set, shift, min_scale=MIN_SCALE)

    def step(self) -> Tensor:
        """The value of one code: the scale, kept above zero."""
        return self.coding.step

    def forward(self, x: Tensor) -> Tensor:
        """Codes of x, of its shape."""
        return self.coding(x)


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
        self.trailing = (1,) * (weight.dim() - 1)
        self.log_scale: torch.nn.Parameter | None = None
        if bits > 1:
            rows = weight.detach().reshape(len(weight) if granularity == "channel" else 1, -1)
            # Half precision cannot hold the squared errors of a row.
            scale = least_squares_scale(at_least_float32(rows), bits, "signed")
            self.log_scale = torch.nn.Parameter(scale.log().to(weight.dtype))

    @property
    def coding(self) -> ScaledCodes | SignCodes:
        """Codes and gradients with the present scales."""
        if self.log_scale is None:
            return SignCodes(self.granularity)
        scale = self.log_scale.exp().view(-1, *self.trailing)
        return ScaledCodes(scale, self.bits, "signed")

    def step(self, weight: Tensor) -> Tensor:
        """The value of one code of every output channel: (C_out,)."""
        coding = self.coding
        if isinstance(coding, ScaledCodes):
            step = coding.step
        else:
            step = weight_scale(weight, self.granularity)
        return step.flatten().expand(len(weight))

    def forward(self, weight: Tensor) -> Tensor:
        """Codes of the weight, of its shape."""
        return self.coding(weight)


Quantizer = ActivationQuantizer | WeightQuantizer
