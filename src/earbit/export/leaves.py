"""Lowers linear layers, convolutions and attention products to ops.

A leaf reads bits if its input has 1 bit, and codes if it has 2 to 8 bits.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from earbit.errors import UnsupportedError
from earbit.export.arrays import array as array
from earbit.export.arrays import step_of as step_of
from earbit.export.arrays import tap_by_tap
from earbit.export.codes import code_product, quantize
from earbit.export.plain import Affine, Binarizer, BinaryProduct, PlainProgram, of_module
from earbit.export.thresholds import Bits, signed_bits, unsigned_bits
from earbit.nn.leaves import ActivationName, Conv1d, Linear
from earbit.nn.norms import FrameBatchNorm
from earbit.nn.precision import FLOAT, W1A1, Precision
from earbit.quantize.leaves import QuantizedConv1d, QuantizedLinear


def affine_of(norm: FrameBatchNorm) -> Affine:
    """A batch norm as an affine map, as in evaluation."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = array(norm.weight) / np.sqrt(array(norm.running_var) + np.float32(norm.eps))
    return Affine(gain, array(norm.bias) - array(norm.running_mean) * gain)


QuantizedWeightLeaf = QuantizedLinear | QuantizedConv1d


def is_binary(name: str, leaf: torch.nn.Module) -> bool:
    """Whether a leaf reads bits, which is so if its input has 1 bit.

    Raises UnsupportedError, naming the leaf, if only one operand is in float.
    """
    precision = leaf.precision
    assert isinstance(precision, Precision)
    bits = (precision.weight_bits, precision.activation_bits)
    if not precision.is_float and FLOAT.weight_bits in bits:
        raise UnsupportedError(
            f"{name}: {precision} has no op; leaves of a program are fp32, or have 1, 2, 4 or 8 "
            "bits on both sides"
        )
    return precision.activation_bits == 1


def input_binarizer(name: str, leaf: Linear | Conv1d) -> Binarizer:
    """The binarizer in front of a leaf that reads bits."""
    assert isinstance(leaf, QuantizedWeightLeaf)
    quantizer = leaf.input_quantizer
    assert quantizer is not None
    assert quantizer.shift is not None
    shift = array(quantizer.shift)
    is_signed = quantizer.number_set == "signed"
    bits = signed_bits(shift) if is_signed else unsigned_bits(shift, step_of(quantizer))
    n_groups = leaf.groups if isinstance(leaf, QuantizedConv1d) else 1
    return Binarizer(name, bits, len(shift), n_groups)


def activation(program: PlainProgram, value: int, name: ActivationName) -> int:
    """Applies an activation function to a float value."""
    return value if name == "none" else program.add(name, [value])


@of_module
def lower_linear(program: PlainProgram, name: str, leaf: Linear, value: int) -> int:
    """Lowers a linear layer.

    value: floats, or the result of `input_bits` for a quantized leaf.
    """
    ints = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
    if isinstance(leaf, QuantizedLinear):
        return _quantized_product(program, name, "gemm", leaf, value, ints)
    value = activation(program, value, leaf.input_activation)
    return program.add("conv_f32", [value], ints=ints, tensors=float_weights(leaf))


@of_module
def lower_conv(program: PlainProgram, name: str, leaf: Conv1d, value: int, *, drop: int = 0) -> int:
    """Lowers a convolution without its last `drop` frames."""
    n_pad = int(leaf.padding[0])
    ints = {
        "kernel": leaf.kernel_size[0],
        "stride": leaf.stride[0],
        "pad_left": n_pad,
        "pad_right": n_pad - drop,
        "groups": leaf.groups,
    }
    if isinstance(leaf, QuantizedConv1d):
        return _quantized_product(program, name, "conv", leaf, value, ints)
    value = activation(program, value, leaf.input_activation)
    return program.add("conv_f32", [value], ints=ints, tensors=float_weights(leaf))


def frames_mean(program: PlainProgram, value: int, conv: Conv1d) -> int:
    """Mean over the receptive field of every output of a convolution, per channel."""
    kernel, n_channels = conv.kernel_size[0], conv.in_channels
    shape = {"kernel": kernel, "stride": conv.stride[0], "pad_left": 0, "pad_right": 0}
    weight = np.full((n_channels, kernel), 1 / kernel, np.float32)
    return program.add("depthwise_f32", [value], ints=shape, tensors={"weight": weight})


@of_module
def input_bits(program: PlainProgram, name: str, leaf: Linear | Conv1d, value: int) -> int:
    """Input of a leaf from a float value: bits, codes, or the value itself."""
    if is_binary(name, leaf):
        return program.binarize(value, input_binarizer(name, leaf))
    if not isinstance(leaf, QuantizedWeightLeaf):
        return value
    assert leaf.input_quantizer is not None
    n_channels = leaf.in_channels if isinstance(leaf, QuantizedConv1d) else leaf.in_features
    value = activation(program, value, leaf.input_activation)
    return quantize(program, value, name, leaf.input_quantizer, n_channels)


def with_factor(bits: Bits, factor: float) -> Bits:
    """Bits of a float times a factor."""
    f = np.float32(factor)
    return bits if factor == 1.0 else lambda x: bits(x * f)


def _quantized_product(
    program: PlainProgram,
    name: str,
    kind: Literal["gemm", "conv"],
    leaf: QuantizedWeightLeaf,
    value: int,
    shape: dict[str, int],
) -> int:
    scale, bias = scale_and_bias(leaf)
    if leaf.precision != W1A1:
        return code_product(program, name, kind, leaf, value, shape, scale, bias)
    is_unsigned = leaf.input_quantizer is not None and leaf.input_quantizer.number_set == "unsigned"
    ints = {**shape, "unsigned": int(is_unsigned), "out_groups": 1}
    product = BinaryProduct(leaf.weight[0].numel(), scale, bias, leaf.weight)
    return program.add(f"{kind}_b1", [value], ints=ints, product=product)


def scale_and_bias(leaf: QuantizedWeightLeaf) -> tuple[np.ndarray, np.ndarray]:
    """Scale and bias of a leaf's product."""
    assert leaf.weight_quantizer is not None
    scale = array(leaf.weight_quantizer.step(leaf.weight)) * step_of(leaf.input_quantizer)
    return scale, np.zeros_like(scale) if leaf.bias is None else array(leaf.bias)


def float_weights(leaf: Linear | Conv1d) -> dict[str, np.ndarray]:
    """Weight, tap by tap, and bias of a float leaf."""
    tensors = {"weight": tap_by_tap(array(leaf.weight))}
    if leaf.bias is not None:
        tensors["bias"] = array(leaf.bias)
    return tensors
