"""Leaves with quantized operands; each operand has its own number of bits.

An input after an activation function is non-negative if that function is a ReLU.  In
up to 4 bits it gets the ReLU and the unsigned set; in 8 bits there is room for the negative side of
the model's own activation function.  Every other input gets the signed set.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from earbit.nn.leaves import ActivationName, Conv1d, Linear, MatMul, NumberSet, activate
from earbit.nn.precision import FLOAT, Granularity, Precision
from earbit.nn.shapes_only import shapes_only
from earbit.quantize.product import (
    ConvProduct,
    LinearProduct,
    MatrixProduct,
    quantized_product,
)
from earbit.quantize.quantizers import ActivationQuantizer, WeightQuantizer

FLOAT_BITS = FLOAT.weight_bits
MAX_RELU_BITS = 4
"""Maximum bits of an input whose activation function is replaced by a ReLU."""


def quantized_activation(
    activation: ActivationName, activation_bits: int
) -> tuple[ActivationName, NumberSet]:
    """The replacement of an activation function, and the set of values of its output."""
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
    """Copies weight and bias; a parametrized weight (weight norm) becomes a plain weight.

    into: on the meta device; it gets the device and the dtype of the leaf.
    """
    learns = any(p.requires_grad for name, p in leaf.named_parameters() if "weight" in name)
    into.weight = _copied(leaf.weight, learns)
    if leaf.bias is not None:
        into.bias = _copied(leaf.bias, leaf.bias.requires_grad)


def _copied(tensor: Tensor, learns: bool) -> Parameter:
    return Parameter(tensor.clone(memory_format=torch.contiguous_format), learns)


def _step(leaf: QuantizedLinear | QuantizedConv1d) -> Tensor:
    """Step of the product for every output channel: (C_out,) or (1,)."""
    step = torch.ones(1, dtype=leaf.weight.dtype, device=leaf.weight.device)
    if leaf.weight_quantizer is not None:
        step = leaf.weight_quantizer.step(leaf.weight)
    if leaf.input_quantizer is not None:
        step = step * leaf.input_quantizer.step()
    return step


def with_bias(y: Tensor, step: Tensor, bias: Tensor | None) -> Tensor:
    """`step * y + bias`, the values of a product of codes, in its type."""
    # Rounds twice, as the packed program does, without a fused multiply-add.
    found = y * step if bias is None else (y * step).add_(bias)
    # Under autocast steps are float32: the next operand would be twice as large as in a float leaf.
    return found.to(y.dtype)


class QuantizedLinear(Linear):
    """A Linear on codes: y = steps * (w_codes input_codes) + bias."""

    def __init__(self, leaf: Linear, precision: Precision, granularity: Granularity) -> None:
        activation, _ = quantized_activation(leaf.input_activation, precision.activation_bits)
        with shapes_only():
            super().__init__(
                leaf.in_features,
                leaf.out_features,
                bias=leaf.bias is not None,
                input_activation=activation,
                input_dropout=leaf.input_dropout
                if precision.activation_bits == FLOAT_BITS
                else 0.0,
            )
        _copy_weights(leaf, self)
        self.precision, self.granularity = precision, granularity
        n_in = leaf.in_features
        self.input_quantizer = _input_quantizer(leaf, precision.activation_bits, n_in, -1)
        self.weight_quantizer = _weight_quantizer(precision.weight_bits, granularity, self.weight)
        self.to(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = activate(x, self.input_activation)
        if self.input_dropout > 0:
            x = F.dropout(x, self.input_dropout, self.training)
        y = quantized_product(
            LinearProduct(), x, self.weight, self.input_quantizer, self.weight_quantizer
        )
        return with_bias(y, _step(self), self.bias)


class QuantizedConv1d(Conv1d):
    """A Conv1d on codes; padding is the code 0, or bit 0: -a, or 0 in the unsigned set."""

    def __init__(self, leaf: Conv1d, precision: Precision, granularity: Granularity) -> None:
        activation, _ = quantized_activation(leaf.input_activation, precision.activation_bits)
        with shapes_only():
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
        self.to(self.weight)

    def forward(self, x_BCT: Tensor, lengths: Tensor | None = None) -> Tensor:
        x_BCT = activate(x_BCT, self.input_activation)
        product = ConvProduct(
            stride=self.stride[0],
            padding=cast(int, self.padding[0]),
            groups=self.groups,
            zero_code=0 if self.input_quantizer is None else self.input_quantizer.coding.zero_code,
            lengths=lengths,
        )
        y_BCT = quantized_product(
            product, x_BCT, self.weight, self.input_quantizer, self.weight_quantizer
        )
        bias = None if self.bias is None else self.bias[:, None]
        return with_bias(y_BCT, _step(self)[:, None], bias)


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

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        y = quantized_product(
            MatrixProduct(), left, right, self.left_quantizer, self.right_quantizer
        )
        for quantizer in (self.left_quantizer, self.right_quantizer):
            if quantizer is not None:
                y = y * quantizer.step()
        return y


QuantizedLeaf = QuantizedLinear | QuantizedConv1d | QuantizedMatMul
