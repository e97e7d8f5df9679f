"""Lowers linear layers, convolutions and attention products to ops.

A leaf reads bits if its input has 1 bit, and codes if it has 2 to 8 bits.  Bits that come directly
from a leaf with 1 bit on both sides are made in the op of that leaf by integer thresholds, without
floats between the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from earbit.errors import UnsupportedError
from earbit.export.arrays import array as array
from earbit.export.arrays import pack_weight, tap_by_tap
from earbit.export.arrays import step_of as step_of
from earbit.export.codes import code_product, quantize
from earbit.export.program import Program
from earbit.export.thresholds import (
    Bits,
    float_threshold,
    integer_threshold,
    signed_bits,
    unsigned_bits,
)
from earbit.nn.leaves import ActivationName, Conv1d, Linear
from earbit.nn.norms import FrameBatchNorm
from earbit.nn.precision import FLOAT, W1A1, Precision
from earbit.quantize.leaves import QuantizedConv1d, QuantizedLinear


@dataclass(frozen=True, slots=True)
class Binarizer:
    """Conversion of a float (T, channels) to the bits of a binary operand."""

    leaf_name: str
    bits: Bits
    n_channels: int
    n_groups: int = 1
    """Number of groups that start at word boundaries: heads, or groups of a convolution."""


@dataclass(frozen=True, slots=True)
class Affine:
    """An affine map `gain * y + offset` of every channel, both float32 (channels,)."""

    gain: np.ndarray
    offset: np.ndarray


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


def pack(program: Program, value: int, binarizer: Binarizer) -> int:
    """Packs a float value to bits."""
    threshold = float_threshold(binarizer.bits, binarizer.n_channels)
    packed = program.add(
        "pack", [value], ints={"groups": binarizer.n_groups}, tensors={"threshold": threshold}
    )
    program.bits[binarizer.leaf_name] = packed
    return packed


def activation(program: Program, value: int, name: ActivationName) -> int:
    """Applies an activation function to a float value."""
    return value if name == "none" else program.add(name, [value])


def lower_affine(program: Program, value: int, affine: Affine) -> int:
    """Applies an affine map to every column of a float value."""
    # Computed as a depthwise convolution over one frame.
    ints = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0}
    tensors = {"weight": affine.gain[:, None], "bias": affine.offset}
    return program.add("depthwise_f32", [value], ints=ints, tensors=tensors)


def lower_linear(
    program: Program,
    name: str,
    leaf: Linear,
    value: int,
    *,
    then: Binarizer | None = None,
    factor: float = 1.0,
    affine: Affine | None = None,
) -> int:
    """Lowers a linear layer; with `then`, to the bits of its output times `factor`.

    value: floats, or the result of `input_bits` for a quantized leaf;  affine: applied to every
    output before `then`.
    """
    ints = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
    if isinstance(leaf, QuantizedLinear):
        return _quantized_product(program, name, "gemm", leaf, value, ints, then, factor, affine)
    value = activation(program, value, leaf.input_activation)
    value = program.add("conv_f32", [value], ints=ints, tensors=float_weights(leaf, affine))
    if then is None:
        return value
    return pack(program, value, _with_factor(then, factor))


def lower_conv(
    program: Program,
    name: str,
    leaf: Conv1d,
    value: int,
    *,
    then: Binarizer | None = None,
    drop: int = 0,
    affine: Affine | None = None,
) -> int:
    """Lowers a convolution without its last `drop` frames; with `then`, to bits of its output.

    affine: applied to every output channel before `then`.
    """
    n_pad = int(leaf.padding[0])
    ints = {
        "kernel": leaf.kernel_size[0],
        "stride": leaf.stride[0],
        "pad_left": n_pad,
        "pad_right": n_pad - drop,
        "groups": leaf.groups,
    }
    if isinstance(leaf, QuantizedConv1d):
        return _quantized_product(program, name, "conv", leaf, value, ints, then, 1.0, affine)
    value = activation(program, value, leaf.input_activation)
    value = program.add("conv_f32", [value], ints=ints, tensors=float_weights(leaf, affine))
    return value if then is None else pack(program, value, then)


def frames_mean(program: Program, value: int, conv: Conv1d) -> int:
    """Mean over the receptive field of every output of a convolution, per channel."""
    kernel, n_channels = conv.kernel_size[0], conv.in_channels
    shape = {"kernel": kernel, "stride": conv.stride[0], "pad_left": 0, "pad_right": 0}
    weight = np.full((n_channels, kernel), 1 / kernel, np.float32)
    return program.add("depthwise_f32", [value], ints=shape, tensors={"weight": weight})


def input_bits(program: Program, name: str, leaf: Linear | Conv1d, value: int) -> int:
    """Input of a leaf from a float value: bits, codes, or the value itself."""
    if is_binary(name, leaf):
        return pack(program, value, input_binarizer(name, leaf))
    if not isinstance(leaf, QuantizedWeightLeaf):
        return value
    assert leaf.input_quantizer is not None
    n_channels = leaf.in_channels if isinstance(leaf, QuantizedConv1d) else leaf.in_features
    value = activation(program, value, leaf.input_activation)
    return quantize(program, value, name, leaf.input_quantizer, n_channels)


def next_binarizer(name: str, leaf: Linear | Conv1d) -> Binarizer | None:
    """Binarizer that the preceding product may apply. None if `input_bits` must do it."""
    return input_binarizer(name, leaf) if is_binary(name, leaf) else None


def product_bits(
    then: Binarizer, n_bits: int, of_product: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Integer thresholds of `then` after a binary product."""
    return integer_threshold(then.bits, of_product, n_bits, then.n_channels)


def _with_factor(then: Binarizer, factor: float) -> Binarizer:
    if factor == 1.0:
        return then
    f = np.float32(factor)
    return Binarizer(then.leaf_name, lambda x: then.bits(x * f), then.n_channels, then.n_groups)


def _quantized_product(
    program: Program,
    name: str,
    kind: Literal["gemm", "conv"],
    leaf: QuantizedWeightLeaf,
    value: int,
    shape: dict[str, int],
    then: Binarizer | None,
    factor: float,
    affine: Affine | None = None,
) -> int:
    scale, bias = scale_and_bias(leaf, affine)
    if then is not None:
        then = _with_factor(then, factor)
    if leaf.precision == W1A1:
        return _binary_product(program, f"{kind}_b1", leaf, value, shape, then, scale, bias)
    value = code_product(program, name, kind, leaf, value, shape, scale, bias)
    return value if then is None else pack(program, value, then)


def scale_and_bias(
    leaf: QuantizedWeightLeaf, affine: Affine | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scale and bias of a leaf's product, with `affine` applied."""
    assert leaf.weight_quantizer is not None
    scale = array(leaf.weight_quantizer.step(leaf.weight)) * step_of(leaf.input_quantizer)
    bias = np.zeros_like(scale) if leaf.bias is None else array(leaf.bias)
    if affine is not None:
        scale, bias = scale * affine.gain, bias * affine.gain + affine.offset
    return scale, bias


def _binary_product(
    program: Program,
    op: str,
    leaf: QuantizedWeightLeaf,
    value: int,
    shape: dict[str, int],
    then: Binarizer | None,
    scale: np.ndarray,
    bias: np.ndarray,
) -> int:
    n_bits = leaf.weight[0].numel()
    # Thresholds require increasing functions of the product; a norm may invert an output.
    sign = np.where(scale < 0, np.float32(-1), np.float32(1))
    tensors = {"weight": pack_weight(leaf.weight, sign if then else None)}
    is_unsigned = leaf.input_quantizer is not None and leaf.input_quantizer.number_set == "unsigned"
    ints = {**shape, "unsigned": int(is_unsigned), "out_groups": 1}
    if then is None:
        tensors |= {"scale": scale, "bias": bias}
    else:
        tensors["threshold"] = product_bits(
            then, n_bits, lambda dot: scale * (sign * dot.astype(np.float32)) + bias
        )
        ints["out_groups"] = then.n_groups
    made = program.add(op, [value], ints=ints, tensors=tensors)
    if then is not None:
        program.bits[then.leaf_name] = made
    return made


def float_weights(leaf: Linear | Conv1d, affine: Affine | None = None) -> dict[str, np.ndarray]:
    """Weight, tap by tap, and bias of a float leaf, with `affine` folded in."""
    tensors = {"weight": tap_by_tap(array(leaf.weight))}
    if leaf.bias is not None:
        tensors["bias"] = array(leaf.bias)
    if affine is not None:
        bias = tensors.get("bias", np.float32(0)) * affine.gain + affine.offset
        tensors = {"weight": tensors["weight"] * affine.gain[:, None], "bias": bias}
    return tensors
