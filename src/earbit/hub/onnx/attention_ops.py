"""Attention: patterns (full, window, relative) and arithmetics (floats, bits, codes).

Letters: B batch, T frames, H heads, K head width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from earbit.hub.onnx.code_ops import dequantized, signed_bits
from earbit.hub.onnx.graph import ints, scalar
from earbit.hub.onnx.patterns import (
    blocks,
    key_mask,
    position_bias,
    shifted,
    window_mask,
    window_of,
)
from earbit.hub.onnx.values import Translation, Value

Op = dict[str, Any]
LOWEST = float(np.finfo(np.float32).min)
"""Score of keys that a query does not see; finite, because queries of padding may see none."""


@dataclass(frozen=True, slots=True)
class Operand:
    """An operand of a product of attention: rows (B, T, H x K), and the value of one unit."""

    rows: str
    scale: float


def attention_f32(t: Translation, op: Op, q: Value, k: Value, v: Value, *position: Value) -> Value:
    """Attention in floats."""
    query = Operand(t.rows(q), op["floats"]["score_scale"])
    key, value = Operand(t.rows(k), 1), Operand(t.rows(v), 1)
    n_heads, bias = op["ints"]["heads"], position_bias(t, q, position)
    return _attention(t, op, q, query, key, value, lambda p: p, n_heads, bias=bias)


def attention_b1(t: Translation, op: Op, q: Value, k: Value, v: Value, *position: Value) -> Value:
    """Attention in bits; a probability is 1 above a threshold."""
    floats = op["floats"]
    query = Operand(signed_bits(t, q), floats["score_scale"])
    key, value = (Operand(signed_bits(t, x), 1) for x in (k, v))
    n_heads = q.n_columns // op["ints"]["head_dim"]
    binary, bias = _binary(t, floats["prob_half"]), position_bias(t, q, position)
    dot = _attention(t, op, q, query, key, value, binary, n_heads, bias=bias)
    return _scaled_or_bits(t, op, dot)


def attention_i8(t: Translation, op: Op, q: Value, k: Value, v: Value, *position: Value) -> Value:
    """Attention in codes."""
    floats = op["floats"]
    query = _operand(t, q, floats["q_scale"])
    key = _operand(t, k, floats["k_scale"])
    value = _operand(t, v, floats["v_scale"])
    n_heads, bias = op["ints"]["heads"], position_bias(t, q, position)
    return _attention(t, op, q, query, key, value, _quantized(t, op), n_heads, bias=bias)


def relative_attention_f32(t: Translation, op: Op, q: Value, k: Value, v: Value, r: Value) -> Value:
    """Attention with relative positions in floats."""
    scale = op["floats"]["score_scale"]
    content, position = (
        Operand(t.graph.op("Add", t.rows(q), t.tensor(op, name)), scale)
        for name in ("content_bias", "position_bias")
    )
    key, distance, value = (Operand(t.rows(x), 1) for x in (k, r, v))
    n_heads = op["ints"]["heads"]
    return _attention(t, op, q, content, key, value, lambda p: p, n_heads, (position, distance))


def relative_attention_b1(
    t: Translation, op: Op, q: Value, p: Value, k: Value, r: Value, v: Value
) -> Value:
    """Attention with relative positions in bits."""
    floats = op["floats"]
    content = Operand(signed_bits(t, q), floats["content_scale"])
    position = Operand(signed_bits(t, p), floats["position_scale"])
    key, distance, value = (Operand(signed_bits(t, x), 1) for x in (k, r, v))
    n_heads = q.n_columns // op["ints"]["head_dim"]
    binary = _binary(t, floats["prob_half"])
    dot = _attention(t, op, q, content, key, value, binary, n_heads, (position, distance))
    return _scaled_or_bits(t, op, dot)


def relative_attention_i8(
    t: Translation, op: Op, q: Value, p: Value, k: Value, r: Value, v: Value
) -> Value:
    """Attention with relative positions in codes."""
    content, position, key, distance, value = (
        _operand(t, x, op["floats"][f"{name}_scale"])
        for name, x in (("q", q), ("p", p), ("k", k), ("r", r), ("v", v))
    )
    n_heads = op["ints"]["heads"]
    return _attention(
        t, op, q, content, key, value, _quantized(t, op), n_heads, (position, distance)
    )


def _operand(t: Translation, x: Value, scale: float) -> Operand:
    """Codes with their scale: 8-bit codes dequantized, and bits as -1 and 1."""
    if x.integers is not None:
        return Operand(dequantized(t, x), 1)
    return Operand(signed_bits(t, x) if x.is_bits else t.rows(x), scale)


def _binary(t: Translation, half: float) -> Callable[[str], str]:
    """Probabilities as 1 above `half`, else 0."""
    graph = t.graph
    return lambda p: graph.op("Cast", graph.op("Greater", p, scalar(half)), to=TensorProto.FLOAT)


def _quantized(t: Translation, op: Op) -> Callable[[str], str]:
    """Probabilities rounded to unsigned codes times their scale."""
    graph, bits, scale = t.graph, op["ints"]["prob_bits"], op["floats"]["prob_scale"]

    def make(p: str) -> str:
        if t.has_integers:
            codes = graph.op("QuantizeLinear", p, scalar(scale), np.array(0, np.uint8))
            return graph.op("DequantizeLinear", codes, scalar(scale), np.array(0, np.uint8))
        rounded = graph.op("Round", graph.op("Div", p, scalar(scale)))
        codes = graph.op("Clip", rounded, scalar(0), scalar(2**bits - 1))
        return graph.op("Mul", codes, scalar(scale))

    return make


def _attention(
    t: Translation,
    op: Op,
    like: Value,
    query: Operand,
    key: Operand,
    value: Operand,
    of_probabilities: Callable[[str], str],
    n_heads: int,
    relative: tuple[Operand, Operand] | None = None,
    bias: str | None = None,
) -> Value:
    """Softmax attention.

    relative: queries and distances whose product is added to the scores;  bias: added to them.
    """
    graph = t.graph
    window = window_of(op)
    q, k, v = (_heads(t, x.rows, n_heads) for x in (query, key, value))
    if window is not None:
        q = blocks(t, like, q, window)
        k, v = (blocks(t, like, x, window, has_margins=True) for x in (k, v))
    product = _product_of(t, q, k, 3 if window is None else 4)
    scores = _scaled(t, product, query.scale * key.scale)
    if relative is not None:
        position, distance = relative
        p, r = (_heads(t, x.rows, n_heads) for x in relative)
        by_position = _scaled(t, _product_of(t, p, r, 3), position.scale * distance.scale)
        scores = graph.op("Add", scores, shifted(t, like, by_position))
    if bias is not None:
        scores = graph.op("Add", scores, bias)
    mask = key_mask(t, like) if window is None else window_mask(t, like, window)
    if mask is not None:
        scores = graph.op("Where", mask, scores, scalar(LOWEST))
    p = of_probabilities(graph.op("Softmax", scores, axis=-1))
    context = graph.op("MatMul", p, v)
    if window is not None:
        n_columns = like.n_columns // n_heads
        flat = graph.op("Reshape", context, ints(0, 0, -1, n_columns))
        context = graph.op("Slice", flat, ints(0), t.n_frames(like), ints(2))
    joined = graph.op("Transpose", context, perm=[0, 2, 1, 3])
    rows = _scaled(t, graph.op("Reshape", joined, ints(0, 0, like.n_columns)), value.scale)
    return Value(like.n_columns, like.lengths, rows=rows)


def _heads(t: Translation, rows: str, n_heads: int) -> str:
    """(B, T, H x K) -> (B, H, T, K)."""

    def make() -> str:
        split = t.graph.op("Reshape", rows, ints(0, 0, n_heads, -1))
        return t.graph.op("Transpose", split, perm=[0, 2, 1, 3])

    made: str = t.once(("heads", rows, n_heads), make)
    return made


def _product_of(t: Translation, left: str, right: str, last: int) -> str:
    """Left times the transpose of right, whose last axis has the number `last`."""
    perm = [*range(last - 1), last, last - 1]
    return t.graph.op("MatMul", left, t.graph.op("Transpose", right, perm=perm))


def _scaled(t: Translation, name: str, scale: float) -> str:
    return name if scale == 1 else t.graph.op("Mul", name, scalar(scale))


def _scaled_or_bits(t: Translation, op: Op, dot: Value) -> Value:
    graph = t.graph
    if "scale" in op["floats"]:
        return t.elementwise(dot, lambda name: _scaled(t, name, op["floats"]["scale"]))
    threshold = t.tensor(op, "threshold").astype(np.float32)

    def bits(name: str) -> str:
        is_one = graph.op("GreaterOrEqual", name, threshold)
        return graph.op("Cast", is_one, to=TensorProto.FLOAT)

    return t.elementwise(dot, bits, is_bits=True)


OPS: dict[str, Callable[..., Value]] = {
    "attention_b1": attention_b1,
    "attention_f32": attention_f32,
    "attention_i8": attention_i8,
    "relative_attention_b1": relative_attention_b1,
    "relative_attention_f32": relative_attention_f32,
    "relative_attention_i8": relative_attention_i8,
}
