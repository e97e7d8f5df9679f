"""Ops on bits and codes: exact integer arithmetic in float32, and integers for 8 bits.

Bits are 0 and 1 in the graph.  A product of signed bits b with weights w is 2 (b w) - sum(w), so
zeros at padding are the bit 0 that they are in a program.  If all products have 8 bits on both
sides, they are `DequantizeLinear` of both operands and a float product (QDQ), which engines compute
with integers.  Engines round sums of QDQ differently, which flips bits of other plans.

Letters: B batch, T frames, C columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from earbit.export.program import Program
from earbit.hub.onnx.float_ops import convolution, is_pointwise, linear, taps_of
from earbit.hub.onnx.frame_ops import normalized
from earbit.hub.onnx.graph import Operand, scalar
from earbit.hub.onnx.packed import codes_of, signs_of
from earbit.hub.onnx.values import Translation, Value

Op = dict[str, Any]
INTEGER_BITS = 8
"""Bits of the codes that engines have integer products for."""
OPS_OF_BITS = {
    "pack",
    "waveform_bits",
    "attention_b1",
    "relative_attention_b1",
    *(f"{kind}_{bits}" for kind in ("gemm", "conv", "depthwise") for bits in ("b1", "planes")),
}
"""Ops that read or write bits."""


def pack(t: Translation, op: Op, x: Value) -> Value:
    """Bits: 1 where x >= threshold."""
    threshold = t.per_column(x, t.tensor(op, "threshold"))
    return t.elementwise(x, lambda name: _at_least(t, name, threshold), is_bits=True)


def waveform_bits(t: Translation, op: Op, x: Value) -> Value:
    """Bits of the normalized convolution of the waveform."""
    attributes = op["ints"] | {"pad_left": 0, "pad_right": 0, "groups": 1}
    taps = taps_of(t.tensor(op, "weight"), attributes["kernel"])
    convolved = convolution(t, x, taps, None, attributes, t.channels(x))
    eps = op["floats"]["eps"]
    normed = normalized(t, convolved, t.tensor(op, "norm_weight"), t.tensor(op, "norm_bias"), eps)
    bits = _at_least(t, normed, t.tensor(op, "threshold")[:, None])
    return Value(len(taps), convolved.lengths, channels=bits, is_bits=True)


def quantize(t: Translation, op: Op, x: Value) -> Value:
    """Codes of 2 to 8 bits, which with 8 bits are integers too."""
    graph, bits, is_unsigned = t.graph, op["ints"]["bits"], op["ints"]["unsigned"]
    scale, factor = op["floats"]["scale"], op["floats"]["factor"]
    shift = t.tensor(op, "shift")

    def shifted(name: str) -> str:
        if factor != 1:
            name = graph.op("Mul", name, scalar(factor))
        return graph.op("Add", name, t.per_column(x, shift)) if shift.any() else name

    read = t.elementwise(x, shifted)
    read.scale = scale
    if t.has_integers:
        read.zero = np.array(0, np.uint8 if is_unsigned else np.int8)
        read.integers = graph.op("QuantizeLinear", t.rows(read), scalar(scale), read.zero)
        read.rows, read.channels = graph.op("Cast", read.integers, to=TensorProto.FLOAT), None
        return read
    low, high = (0, 2**bits - 1) if is_unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def codes(name: str) -> str:
        rounded = graph.op("Round", graph.op("Div", name, scalar(scale)))
        return graph.op("Clip", rounded, scalar(low), scalar(high))

    made = t.elementwise(read, codes)
    made.scale = scale
    return made


def has_integer_products(program: Program) -> bool:
    """Whether all quantized products of a program have 8 bits on both sides."""
    bits = {
        op["ints"].get(name)
        for op in program.ops
        for name in ("bits", "weight_bits", "prob_bits")
        if name in op["ints"]
    }
    return bits == {INTEGER_BITS} and not {op["op"] for op in program.ops} & OPS_OF_BITS


def unpack(t: Translation, op: Op, x: Value) -> Value:
    """Bits as codes of 1 bit, which stay 0 and 1 in the graph."""
    return x


def gemm_b1(t: Translation, op: Op, x: Value) -> Value:
    """Product of bits with weights of 1 bit."""
    attributes = op["ints"]
    n_in = x.n_columns // attributes["groups"]
    weight = signs_of(t.tensor(op, "weight"), attributes["kernel"], n_in)
    return _scaled_or_bits(t, op, _product(t, x, weight, attributes, _is_signed(t, op, x)))


def depthwise_b1(t: Translation, op: Op, x: Value) -> Value:
    """Product of bits of one column with weights of 1 bit."""
    attributes = op["ints"] | {"groups": x.n_columns}
    # The taps of a column are the bits of its words.
    taps = signs_of(t.tensor(op, "weight"), 1, attributes["kernel"]).transpose(0, 2, 1)
    return _scaled_or_bits(t, op, _product(t, x, taps, attributes, _is_signed(t, op, x)))


def gemm_planes(t: Translation, op: Op, x: Value) -> Value:
    """Product of codes with weights of 1 bit."""
    n_in = x.n_columns // op["ints"]["groups"]
    weight = signs_of(t.tensor(op, "weight"), op["ints"]["kernel"], n_in)
    return _scaled_or_bits(t, op, _product(t, x, weight, op["ints"], False))


def gemm_i8(t: Translation, op: Op, x: Value) -> Value:
    """Product of codes with weights of 1 to 8 bits."""
    attributes = op["ints"]
    bits, n_in = attributes["weight_bits"], x.n_columns // attributes["groups"]
    weight = codes_of(t.tensor(op, "weight"), bits, attributes["kernel"], n_in)
    return _of_codes(t, op, x, weight, attributes)


def depthwise_i8(t: Translation, op: Op, x: Value) -> Value:
    """Product of codes of one column with weights of 1 to 8 bits."""
    attributes = op["ints"] | {"groups": x.n_columns}
    weight = codes_of(t.tensor(op, "weight"), attributes["weight_bits"], attributes["kernel"], 1)
    return _of_codes(t, op, x, weight, attributes)


def dequantized(t: Translation, x: Value) -> str:
    """Rows (B, T, C) of a value with 8-bit integers, as the floats that they represent."""
    integers = x.integers or ""
    assert x.zero is not None
    # Without a zero point, ONNX Runtime may quantize again as unsigned.
    inputs = (integers, scalar(x.scale), x.zero)
    made: str = t.once(("dequantized", integers), lambda: t.graph.op("DequantizeLinear", *inputs))
    return made


def signed_bits(t: Translation, x: Value) -> str:
    """Bits (B, T, C) as -1 and +1."""
    graph = t.graph
    made: str = t.once(
        ("signed", t.rows(x)),
        lambda: graph.op("Sub", graph.op("Mul", t.rows(x), scalar(2)), scalar(1)),
    )
    return made


def _of_codes(
    t: Translation, op: Op, x: Value, weight: np.ndarray, attributes: dict[str, int]
) -> Value:
    scale, bias = t.tensor(op, "scale"), t.tensor(op, "bias")
    # A scale below zero, of a batch norm, has no form in QDQ.
    if x.integers is not None and (scale > 0).all():
        return _dequantized_product(t, x, weight, scale / np.float32(x.scale), bias, attributes)
    return _scaled_or_bits(t, op, _product(t, x, weight, attributes, _is_signed(t, op, x)))


def _dequantized_product(
    t: Translation,
    x: Value,
    weight: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    attributes: dict[str, int],
) -> Value:
    codes, zero = weight.astype(np.int8), np.zeros(len(weight), np.int8)
    dequantize = t.graph.op
    if is_pointwise(attributes):
        transposed = np.ascontiguousarray(codes[:, :, 0].T)
        made = dequantize("DequantizeLinear", transposed, scale, zero, axis=1)
        return linear(t, dequantized(t, x), x, made, bias)
    of_weight = dequantize("DequantizeLinear", codes, scale, zero, axis=0)
    read = Value(x.n_columns, x.lengths, rows=dequantized(t, x))
    return convolution(t, read, of_weight, bias, attributes)


def _product(
    t: Translation,
    x: Value,
    weight: np.ndarray,
    attributes: dict[str, int],
    is_signed: bool,
) -> Value:
    """Exact product of bits or codes with whole numbers (out, in / groups, kernel)."""
    offset = None
    if is_signed:
        offset = -weight.sum((1, 2), dtype=np.float32)
        weight = 2 * weight
    if is_pointwise(attributes):
        transposed: Operand = t.graph.whole(np.ascontiguousarray(weight[:, :, 0].T))
        made = t.graph.op("MatMul", t.rows(x), transposed)
        y = Value(len(weight), x.lengths, rows=made)
    else:
        zero = np.zeros(len(weight), np.float32)
        y = convolution(t, x, t.graph.whole(weight), zero, attributes)
    if offset is None:
        return y
    return t.elementwise(y, lambda name: t.graph.op("Add", name, t.per_column(y, offset)))


def _is_signed(t: Translation, op: Op, x: Value) -> bool:
    """Whether bits stand for -1 and 1; codes and unsigned bits stand for themselves."""
    if not x.is_bits:
        return False
    if "unsigned" in op["ints"]:
        return not op["ints"]["unsigned"]
    made_by = t.program.ops[op["inputs"][0] - 1]
    assert made_by["op"] == "unpack", made_by["op"]
    return not made_by["ints"]["unsigned"]


def _scaled_or_bits(t: Translation, op: Op, dot: Value) -> Value:
    if "threshold" in op["tensors"]:
        threshold = t.per_column(dot, t.tensor(op, "threshold").astype(np.float32))
        return t.elementwise(dot, lambda name: _at_least(t, name, threshold), is_bits=True)
    graph = t.graph
    scale = t.per_column(dot, t.tensor(op, "scale"))
    bias = t.per_column(dot, t.tensor(op, "bias"))
    return t.elementwise(dot, lambda name: graph.op("Add", graph.op("Mul", name, scale), bias))


def _at_least(t: Translation, name: str, threshold: np.ndarray) -> str:
    is_one = t.graph.op("GreaterOrEqual", name, threshold)
    return t.graph.op("Cast", is_one, to=TensorProto.FLOAT)


OPS: dict[str, Callable[..., Value]] = {
    "conv_b1": gemm_b1,
    "conv_i8": gemm_i8,
    "conv_planes": gemm_planes,
    "depthwise_b1": depthwise_b1,
    "depthwise_i8": depthwise_i8,
    "gemm_b1": gemm_b1,
    "gemm_i8": gemm_i8,
    "gemm_planes": gemm_planes,
    "pack": pack,
    "quantize": quantize,
    "unpack": unpack,
    "waveform_bits": waveform_bits,
}
