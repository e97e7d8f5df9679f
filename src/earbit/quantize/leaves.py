"""The leaves with one bit for both operands.

An input that comes out of an activation function is non-negative once that function is a ReLU, so
it gets the unsigned set {0, a} and the ReLU; every other input gets the signed set {-a, +a}.
Scales and shifts are ordinary parameters; `calibrate` gives them their first values.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.nn.leaves import ActivationName, BinarySet, Conv1d, Linear, MatMul
from earbit.nn.lengths import zero_padding
from earbit.nn.precision import W1A1, Granularity
from earbit.quantize.binarize import (
    MIN_SCALE,
    lsq_factor,
    signed_units,
    unsigned_units,
    weight_scale,
    weight_units,
)


def units_of(x: Tensor, binary_set: BinarySet, scale: Tensor, share: float = 1.0) -> Tensor:
    """The units of x, shift already added: -1 and +1, or 0 and 1.

    share: of a tensor that x is a part of; the scale's gradient is then a part of the whole's.
    """
    factor = lsq_factor(x.numel() / share)
    if binary_set == "signed":
        return signed_units(x, scale, factor)
    return unsigned_units(x, scale, factor)


def initial_scale(x: Tensor, binary_set: BinarySet, real: Tensor | None = None) -> Tensor:
    """BiT's first value of a scale: 2 mean|x| for the signed set, 4 mean|x| for the unsigned.

    real: broadcastable to x, True for the elements that count; all of them by default.
    """
    factor = 2.0 if binary_set == "signed" else 4.0
    size = x.detach().abs()
    mean = size.mean() if real is None else (size * real).sum() / real.expand_as(size).sum()
    return (factor * mean).clamp_min(MIN_SCALE)


def _set_of(input_activation: ActivationName) -> BinarySet:
    return "signed" if input_activation == "none" else "unsigned"


def _relu_for(input_activation: ActivationName) -> ActivationName:
    return "none" if input_activation == "none" else "relu"


def _copy_weights(leaf: Linear | Conv1d, into: Linear | Conv1d) -> None:
    """Weight and bias; a parametrized weight (weight norm) becomes the plain one it stands for."""
    with torch.no_grad():
        into.weight.copy_(leaf.weight)
        if leaf.bias is not None and into.bias is not None:
            into.bias.copy_(leaf.bias)


class BinaryLinear(Linear):
    """A Linear whose weight and input are single bits: y = w_b binarize(x + shift) + bias."""

    precision = W1A1

    def __init__(self, leaf: Linear, granularity: Granularity) -> None:
        super().__init__(
            leaf.in_features,
            leaf.out_features,
            bias=leaf.bias is not None,
            input_activation=_relu_for(leaf.input_activation),
        )
        _copy_weights(leaf, self)
        self.granularity = granularity
        self.input_set = _set_of(leaf.input_activation)
        self.input_scale = torch.nn.Parameter(torch.ones(()))
        self.input_shift = torch.nn.Parameter(torch.zeros(leaf.in_features))

    def shifted_input(self, x: Tensor) -> Tensor:
        """What is compared with the threshold: the activated input plus the shift."""
        if self.input_activation == "relu":
            x = F.relu(x)
        return x + self.input_shift

    def observe(self, x: Tensor) -> dict[str, Tensor]:
        """First values of the scales from one input."""
        return {"input_scale": initial_scale(self.shifted_input(x), self.input_set)}

    def forward(self, x: Tensor) -> Tensor:
        scale = self.input_scale.clamp_min(MIN_SCALE)
        units = units_of(self.shifted_input(x), self.input_set, scale)
        dot = F.linear(units, weight_units(self.weight, self.granularity))
        y = dot * (weight_scale(self.weight, self.granularity)[:, 0] * scale.detach())
        return y if self.bias is None else y + self.bias


class BinaryConv1d(Conv1d):
    """A Conv1d whose weight and input are single bits; padding is bit 0: -a, or 0 if unsigned."""

    precision = W1A1

    def __init__(self, leaf: Conv1d, granularity: Granularity) -> None:
        super().__init__(
            leaf.in_channels,
            leaf.out_channels,
            leaf.kernel_size[0],
            stride=leaf.stride[0],
            padding=cast(int, leaf.padding[0]),
            groups=leaf.groups,
            bias=leaf.bias is not None,
            input_activation=_relu_for(leaf.input_activation),
        )
        _copy_weights(leaf, self)
        self.granularity = granularity
        self.input_set = _set_of(leaf.input_activation)
        self.input_scale = torch.nn.Parameter(torch.ones(()))
        self.input_shift = torch.nn.Parameter(torch.zeros(leaf.in_channels))

    def shifted_input(self, x_BCT: Tensor) -> Tensor:
        """What is compared with the threshold: the activated input plus the shift."""
        if self.input_activation == "relu":
            x_BCT = F.relu(x_BCT)
        return x_BCT + self.input_shift[:, None]

    def observe(self, x_BCT: Tensor, lengths: Tensor | None = None) -> dict[str, Tensor]:
        """First values of the scales from one input."""
        return {"input_scale": initial_scale(self.shifted_input(x_BCT), self.input_set)}

    def forward(self, x_BCT: Tensor, lengths: Tensor | None = None) -> Tensor:
        scale = self.input_scale.clamp_min(MIN_SCALE)
        x_BCT = units_of(self.shifted_input(x_BCT), self.input_set, scale)
        n_pad = cast(int, self.padding[0])
        if n_pad:
            # Bit 0 is padding: moved up so that bit 0 is zero, it is plain zero padding.
            low = 1.0 if self.input_set == "signed" else 0.0
            x_BCT = zero_padding(x_BCT + low, lengths)
            x_BCT = F.pad(x_BCT, (n_pad, n_pad)) - low
        units = weight_units(self.weight, self.granularity)
        dot = F.conv1d(x_BCT, units, stride=self.stride, groups=self.groups)
        y = dot * (weight_scale(self.weight, self.granularity)[:, 0] * scale.detach())
        return y if self.bias is None else y + self.bias[:, None]


class BinaryMatMul(MatMul):
    """A product of two activations in single bits; learned scales, no shifts (as BiT's code)."""

    precision = W1A1

    def __init__(self, leaf: MatMul) -> None:
        super().__init__(leaf.left_set)
        self.left_scale = torch.nn.Parameter(torch.ones(()))
        self.right_scale = torch.nn.Parameter(torch.ones(()))

    def observe(
        self,
        left: Tensor,
        right: Tensor,
        n_pairs: int | None = None,
        real: tuple[Tensor, Tensor] | None = None,
        share: float = 1.0,
    ) -> dict[str, Tensor]:
        """First values of the scales from one pair of inputs."""
        real_left, real_right = (None, None) if real is None else real
        return {
            "left_scale": initial_scale(left, self.left_set, real_left),
            "right_scale": initial_scale(right, "signed", real_right),
        }

    def forward(
        self,
        left: Tensor,
        right: Tensor,
        n_pairs: int | None = None,
        real: tuple[Tensor, Tensor] | None = None,
        share: float = 1.0,
    ) -> Tensor:
        left_scale = self.left_scale.clamp_min(MIN_SCALE)
        right_scale = self.right_scale.clamp_min(MIN_SCALE)
        left_units = units_of(left, self.left_set, left_scale, share)
        dot = left_units @ units_of(right, "signed", right_scale, share)
        return dot * (left_scale * right_scale).detach()


BinaryLeaf = BinaryLinear | BinaryConv1d | BinaryMatMul
