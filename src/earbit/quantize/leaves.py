"""The leaves whose operands are quantized, each to bits of its own.

An input that comes out of an activation function is non-negative once that function is a ReLU.  In
up to 4 bits it gets the ReLU and the unsigned set; in 8 bits there is room for the negative side of
the model's own activation function.  Every other input gets the signed set.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.nn.leaves import ActivationName, Conv1d, Linear, MatMul, NumberSet, activate
from earbit.nn.lengths import zero_padding
from earbit.nn.precision import FLOAT, Granularity, Precision
from earbit.quantize.quantizers import ActivationQuantizer, WeightQuantizer

FLOAT_BITS = FLOAT.weight_bits
MAX_RELU_BITS = 4
"""Bits up to which the activation function in front of an input becomes a ReLU."""


def quantized_activation(
    activation: ActivationName, activation_bits: int
) -> tuple[ActivationName, NumberSet]:
    """What a leaf with this activation function applies instead, and the set of its input."""
    if activation == "none" or activation_bits > MAX_RELU_BITS:
        return activation, "signed"
    return "relu", "unsigned"


def _input_quantizer(
    leaf: Linear | Conv1d, bits: int, n_channels: int, channel_axis: int
) -> ActivationQuantizer | None:
    if bits == FLOAT_BITS:
        return None
    _, number_set = quantized_activation(leaf.input_activation, bits)
    return ActivationQuantizer(bits, number_set, n_channels=n_channels, channel_axis=channel_axis)


def _weight_quantizer(
    bits: int, granularity: Granularity, weight: Tensor
) -> WeightQuantizer | None:
    return None if bits == FLOAT_BITS else WeightQuantizer(bits, granularity, weight)


@torch.no_grad()
def _copy_weights(leaf: Linear | Conv1d, into: Linear | Conv1d) -> None:
    """Weight and bias; a parametrized weight (weight norm) becomes the plain one it stands for."""
    into.weight.copy_(leaf.weight)
    if leaf.bias is not None and into.bias is not None:
        into.bias.copy_(leaf.bias)


def _weight_codes(
    weight: Tensor,
    weight_quantizer: WeightQuantizer | None,
    input_quantizer: ActivationQuantizer | None,
) -> tuple[Tensor, Tensor]:
    """Codes, or the weight itself, and what a unit of the product is worth: (C_out,) or (1,)."""
    step = torch.ones(1, dtype=weight.dtype, device=weight.device)
    if weight_quantizer is not None:
        weight, step = weight_quantizer(weight)
    if input_quantizer is not None:
        step = step * input_quantizer.step().detach()
    return weight, step


class QuantizedLinear(Linear):
    """A Linear on codes: y = steps * (w_codes input_codes) + bias."""

    def __init__(self, leaf: Linear, precision: Precision, granularity: Granularity) -> None:
        activation, _ = quantized_activation(leaf.input_activation, precision.activation_bits)
        super().__init__(
            leaf.in_features,
            leaf.out_features,
            bias=leaf.bias is not None,
            input_activation=activation,
            input_dropout=leaf.input_dropout if precision.activation_bits == FLOAT_BITS else 0.0,
        )
        _copy_weights(leaf, self)
        self.precision, self.granularity = precision, granularity
        n_in = leaf.in_features
        self.input_quantizer = _input_quantizer(leaf, precision.activation_bits, n_in, -1)
        self.weight_quantizer = _weight_quantizer(precision.weight_bits, granularity, self.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = activate(x, self.input_activation)
        if self.input_quantizer is not None:
            x = self.input_quantizer(x)
        if self.input_dropout > 0:
            x = F.dropout(x, self.input_dropout, self.training)
        weight, step = _weight_codes(self.weight, self.weight_quantizer, self.input_quantizer)
        y = F.linear(x, weight) * step
        return y if self.bias is None else y + self.bias


class QuantizedConv1d(Conv1d):
    """A Conv1d on codes; padding is the code 0, or bit 0: -a, or 0 in the unsigned set."""

    def __init__(self, leaf: Conv1d, precision: Precision, granularity: Granularity) -> None:
        activation, _ = quantized_activation(leaf.input_activation, precision.activation_bits)
        super().__init__(
            leaf.in_channels,
            leaf.out_channels,
            leaf.kernel_size[0],
            stride=leaf.stride[0],
            padding=cast(int, leaf.padding[0]),
            groups=leaf.groups,
            bias=leaf.bias is not None,
            input_activation=activation,
        )
        _copy_weights(leaf, self)
        self.precision, self.granularity = precision, granularity
        n_in = leaf.in_channels
        self.input_quantizer = _input_quantizer(leaf, precision.activation_bits, n_in, -2)
        self.weight_quantizer = _weight_quantizer(precision.weight_bits, granularity, self.weight)

    def forward(self, x_BCT: Tensor, lengths: Tensor | None = None) -> Tensor:
        x_BCT = activate(x_BCT, self.input_activation)
        if self.input_quantizer is not None:
            x_BCT = self.input_quantizer(x_BCT)
        n_pad = cast(int, self.padding[0])
        if n_pad:
            low = 0 if self.input_quantizer is None else self.input_quantizer.zero_code
            # Moved so that the padding's code is zero, it is plain zero padding.
            x_BCT = zero_padding(x_BCT - low, lengths) + low
            x_BCT = F.pad(x_BCT, (n_pad, n_pad), value=low)
        weight, step = _weight_codes(self.weight, self.weight_quantizer, self.input_quantizer)
        y_BCT = F.conv1d(x_BCT, weight, stride=self.stride, groups=self.groups) * step[:, None]
        return y_BCT if self.bias is None else y_BCT + self.bias[:, None]


class QuantizedMatMul(MatMul):
    """A product of two activations on codes; learned scales, no shifts (as BiT's code)."""

    def __init__(self, leaf: MatMul, precision: Precision) -> None:
        super().__init__(leaf.left_set)
        self.precision = precision
        self.left_quantizer = self.right_quantizer = None
        if precision.activation_bits < FLOAT_BITS:
            self.left_quantizer = ActivationQuantizer(precision.activation_bits, leaf.left_set)
        if precision.weight_bits < FLOAT_BITS:
            self.right_quantizer = ActivationQuantizer(precision.weight_bits, "signed")

    def forward(
        self,
        left: Tensor,
        right: Tensor,
        n_pairs: int | None = None,
        real: tuple[Tensor, Tensor] | None = None,
        share: float = 1.0,
    ) -> Tensor:
        real_left, real_right = (None, None) if real is None else real
        step: Tensor | float = 1.0
        if self.left_quantizer is not None:
            left = self.left_quantizer(left, real=real_left, share=share)
            step = self.left_quantizer.step().detach()
        if self.right_quantizer is not None:
            right = self.right_quantizer(right, real=real_right, share=share)
            step = step * self.right_quantizer.step().detach()
        return left @ right * step


QuantizedLeaf = QuantizedLinear | QuantizedConv1d | QuantizedMatMul
