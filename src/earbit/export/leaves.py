"""Lowers leaves: a linear, convolution or attention product to the ops that compute it.

A binary leaf reads bits.  Where its input comes straight from another binary leaf, the bits are
made inside that leaf's op by integer thresholds, and no float ever exists between the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from earbit.errors import UnsupportedError
from earbit.export.program import Program
from earbit.export.thresholds import (
    Bits,
    float_threshold,
    integer_threshold,
    signed_bits,
    unsigned_bits,
)
from earbit.nn.leaves import ActivationName, Conv1d, Linear
from earbit.nn.norms import ChannelNorm, FrameBatchNorm
from earbit.nn.precision import FLOAT, W1A1, Precision
from earbit.quantize.leaves import QuantizedConv1d, QuantizedLinear
from earbit.quantize.quantizers import ActivationQuantizer
from earbit.quantize.weights import weight_bits, weight_scale


@dataclass(frozen=True, slots=True)
class Binarizer:
    """How a float (T, channels) becomes the bits that a binary operand is."""

    leaf_name: str
    bits: Bits
    n_channels: int
    n_groups: int = 1
    """Groups that start at word borders: heads, or groups of a convolution."""


@dataclass(frozen=True, slots=True)
class Affine:
    """`gain * y + offset` of every channel: float32 (channels,) both."""

    gain: np.ndarray
    offset: np.ndarray


def affine_of(norm: FrameBatchNorm) -> Affine:
    """What a batch norm is in use."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = array(norm.weight) / np.sqrt(array(norm.running_var) + np.float32(norm.eps))
    return Affine(gain, array(norm.bias) - array(norm.running_mean) * gain)


def array(tensor: Tensor) -> np.ndarray:
    """A detached float32 copy in numpy."""
    values: np.ndarray = tensor.detach().cpu().float().numpy()
    return values


BinaryLeaf = QuantizedLinear | QuantizedConv1d
"""With one bit on both sides: what `is_binary` has said yes to."""


def is_binary(name: str, leaf: torch.nn.Module) -> bool:
    """Whether a leaf has one bit for both operands; False for one in float.

    Raises UnsupportedError, naming the leaf, for bits that have no op.
    """
    precision = leaf.precision
    assert isinstance(precision, Precision)
    if precision not in (FLOAT, W1A1):
        raise UnsupportedError(
            f"{name}: {precision} has no op yet; leaves of a program are fp32 or w1a1"
        )
    return precision == W1A1


def step_of(quantizer: ActivationQuantizer | None) -> np.float32:
    """What a code of a quantizer is worth."""
    assert quantizer is not None
    return np.float32(array(quantizer.step()))


def input_binarizer(name: str, leaf: Linear | Conv1d) -> Binarizer:
    """The binarizer in front of a binary leaf."""
    assert isinstance(leaf, BinaryLeaf)
    quantizer = leaf.input_quantizer
    assert quantizer is not None
    assert quantizer.shift is not None
    shift = array(quantizer.shift)
    is_signed = quantizer.number_set == "signed"
    bits = signed_bits(shift) if is_signed else unsigned_bits(shift, step_of(quantizer))
    n_groups = leaf.groups if isinstance(leaf, QuantizedConv1d) else 1
    return Binarizer(name, bits, len(shift), n_groups)


def pack(program: Program, value: int, binarizer: Binarizer) -> int:
    """Bits of a float value."""
    threshold = float_threshold(binarizer.bits, binarizer.n_channels)
    packed = program.add(
        "pack", [value], ints={"groups": binarizer.n_groups}, tensors={"threshold": threshold}
    )
    program.bits[binarizer.leaf_name] = packed
    return packed


def activation(program: Program, value: int, name: ActivationName) -> int:
    """An activation function on a float value."""
    return value if name == "none" else program.add(name, [value])


def lower_linear(
    program: Program,
    name: str,
    leaf: Linear,
    value: int,
    *,
    then: Binarizer | None = None,
    factor: float = 1.0,
) -> int:
    """A linear layer; with `then`, the bits of its output times `factor`.

    value: floats, or, for a binary leaf, what `input_bits` gave for it.
    """
    if is_binary(name, leaf):
        shape = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
        return _binary_product(program, "gemm_b1", leaf, value, shape, then, factor)
    value = activation(program, value, leaf.input_activation)
    ints = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
    value = program.add("conv_f32", [value], ints=ints, tensors=_float_weights(leaf))
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
    """A convolution without its last `drop` frames; with `then`, the bits of its output.

    affine: of every output channel, applied to what comes out; not together with `then`.
    """
    assert then is None or affine is None
    n_pad = int(leaf.padding[0])
    ints = {
        "kernel": leaf.kernel_size[0],
        "stride": leaf.stride[0],
        "pad_left": n_pad,
        "pad_right": n_pad - drop,
        "groups": leaf.groups,
    }
    if is_binary(name, leaf):
        return _binary_product(program, "conv_b1", leaf, value, ints, then, 1.0, affine)
    value = activation(program, value, leaf.input_activation)
    tensors = _float_weights(leaf)
    if affine is not None:
        bias = tensors.get("bias", np.float32(0)) * affine.gain + affine.offset
        tensors = {"weight": tensors["weight"] * affine.gain[:, None], "bias": bias}
    value = program.add("conv_f32", [value], ints=ints, tensors=tensors)
    return value if then is None else pack(program, value, then)


def waveform_bits(
    program: Program, conv: Conv1d, norm: ChannelNorm, then: Binarizer, waveform: int
) -> int:
    """The bits of a normed convolution of the waveform, which has no bias behind such a norm."""
    tensors = {
        "weight": array(conv.weight)[:, 0],
        "norm_weight": array(norm.weight),
        "norm_bias": array(norm.bias),
        "threshold": float_threshold(then.bits, then.n_channels),
    }
    ints = {"kernel": conv.kernel_size[0], "stride": conv.stride[0]}
    made = program.add(
        "waveform_bits", [waveform], ints=ints, floats={"eps": norm.eps}, tensors=tensors
    )
    program.bits[then.leaf_name] = made
    return made


def frames_mean(program: Program, value: int, conv: Conv1d) -> int:
    """The mean of the frames that every output of a convolution sees, channel by channel."""
    kernel, n_channels = conv.kernel_size[0], conv.in_channels
    shape = {"kernel": kernel, "stride": conv.stride[0], "pad_left": 0, "pad_right": 0}
    weight = np.full((n_channels, kernel), 1 / kernel, np.float32)
    return program.add(
        "conv_f32", [value], ints=shape | {"groups": n_channels}, tensors={"weight": weight}
    )


def input_bits(program: Program, name: str, leaf: Linear | Conv1d, value: int) -> int:
    """What a leaf reads of a float value: its bits for a binary leaf, else the value itself."""
    if is_binary(name, leaf):
        return pack(program, value, input_binarizer(name, leaf))
    return value


def product_bits(
    then: Binarizer, n_bits: int, of_product: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Integer thresholds of `then` behind a binary product."""
    return integer_threshold(then.bits, of_product, n_bits, then.n_channels)


def _with_factor(then: Binarizer, factor: float) -> Binarizer:
    if factor == 1.0:
        return then
    f = np.float32(factor)
    return Binarizer(then.leaf_name, lambda x: then.bits(x * f), then.n_channels, then.n_groups)


def _binary_product(
    program: Program,
    op: str,
    leaf: Linear | Conv1d,
    value: int,
    shape: dict[str, int],
    then: Binarizer | None,
    factor: float,
    affine: Affine | None = None,
) -> int:
    assert isinstance(leaf, BinaryLeaf)
    n_bits = leaf.weight[0].numel()
    scale = array(weight_scale(leaf.weight, leaf.granularity)).reshape(-1)
    scale = scale * step_of(leaf.input_quantizer)
    bias = np.zeros_like(scale) if leaf.bias is None else array(leaf.bias)
    if affine is not None:
        scale, bias = scale * affine.gain, bias * affine.gain + affine.offset
    tensors = {"weight": pack_weight(leaf.weight)}
    is_unsigned = leaf.input_quantizer is not None and leaf.input_quantizer.number_set == "unsigned"
    ints = {**shape, "unsigned": int(is_unsigned), "out_groups": 1}
    if then is None:
        tensors |= {"scale": scale, "bias": bias}
    else:
        then = _with_factor(then, factor)
        tensors["threshold"] = product_bits(
            then, n_bits, lambda dot: scale * dot.astype(np.float32) + bias
        )
        ints["out_groups"] = then.n_groups
    made = program.add(op, [value], ints=ints, tensors=tensors)
    if then is not None:
        program.bits[then.leaf_name] = made
    return made


def pack_weight(weight: Tensor) -> np.ndarray:
    """Signs of (C_out, C_in[, taps]) as uint64 (C_out, taps * words), taps at word borders."""
    bits: np.ndarray = weight_bits(weight.detach()).cpu().numpy()
    if bits.ndim == 2:
        bits = bits[:, :, None]
    bits = bits.transpose(0, 2, 1)
    n_out, n_taps, n_in = bits.shape
    n_words = -(-n_in // 64)
    padded = np.zeros((n_out, n_taps, n_words * 64), np.uint8)
    padded[..., :n_in] = bits
    packed = np.packbits(padded, axis=-1, bitorder="little").view("<u8")
    return packed.reshape(n_out, n_taps * n_words).astype(np.uint64)


def _float_weights(leaf: Linear | Conv1d) -> dict[str, np.ndarray]:
    weight = array(leaf.weight)
    if weight.ndim == 3:
        weight = weight.transpose(0, 2, 1).reshape(len(weight), -1)
    tensors = {"weight": weight}
    if leaf.bias is not None:
        tensors["bias"] = array(leaf.bias)
    return tensors
