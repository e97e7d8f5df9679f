"""What a quantized leaf does to its operands: the state of a quantizer, and its codes.

Codes are small integers in floats; times the step they are the quantized number.  Scales and
shifts are ordinary parameters; `calibrate` gives those of activations their first values.
"""

from __future__ import annotations

import torch
from torch import Tensor

from earbit.nn.leaves import NumberSet
from earbit.nn.precision import Granularity
from earbit.quantize.binarize import MIN_SCALE, lsq_factor, weight_scale, weight_units
from earbit.quantize.low_bits import code_range, codes
from earbit.quantize.scale_search import least_squares_scale

MIN_WEIGHT_SCALE = MIN_SCALE**2


class ActivationQuantizer(torch.nn.Module):
    """Codes of an activation: any shape -> the same, with one scale and, by channel, a shift.

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
        return self.scale.clamp_min(MIN_SCALE)

    @property
    def zero_code(self) -> int:
        """The code of padding: 0, or -1 for the two codes that have no zero (bit 0)."""
        return code_range(self.bits, self.number_set)[0] if self.bits == 1 else 0

    def forward(self, x: Tensor, real: Tensor | None = None, share: float = 1.0) -> Tensor:
        """Codes of x.

        real: broadcastable to x, True where an element counts in calibration, which reads it;
        share: of a tensor that x is a part of; the scale's gradient is then a part of the whole's.
        """
        high = code_range(self.bits, self.number_set)[1]
        factor = lsq_factor(x.numel() / share * (high if self.bits > 1 else 1))
        return codes(self.shifted(x), self.step(), self.bits, self.number_set, factor)


class WeightQuantizer(torch.nn.Module):
    """Codes of a weight, output channels first, and their steps.

    One bit is BiT's: signs around the mean, times mean|W|, nothing learned but the weight.  More
    bits have a learned scale for every output channel, or one for all, as in LSQ.
    """

    def __init__(self, bits: int, granularity: Granularity, weight: Tensor) -> None:
        super().__init__()
        self.bits = bits
        self.granularity: Granularity = granularity
        self.scale: torch.nn.Parameter | None = None
        if bits > 1:
            rows = weight.detach().flatten(1) if granularity == "channel" else weight.detach()
            rows = rows if granularity == "channel" else rows.reshape(1, -1)
            self.scale = torch.nn.Parameter(least_squares_scale(rows, bits, "signed"))

    def forward(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Codes, and what a code of every output channel is worth: the weight's shape, (C_out,)."""
        if self.scale is None:
            step = weight_scale(weight, self.granularity)
            return weight_units(weight, self.granularity), step.flatten()
        scale = self.scale.clamp_min(MIN_WEIGHT_SCALE)
        by_row = scale.view(-1, *(1,) * (weight.dim() - 1))
        return codes(weight, by_row, self.bits, "signed"), scale.detach().expand(len(weight))
