"""Ops on floats that compute every frame by itself, or frames of a window.

Letters: B batch, T frames, C columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from earbit.hub.onnx.graph import ints, scalar
from earbit.hub.onnx.values import Translation, Value

Op = dict[str, Any]


def conv_f32(t: Translation, op: Op, x: Value) -> Value:
    """A linear layer for a kernel of 1, else a convolution; padding counts as zeros."""
    weight, kernel = t.tensor(op, "weight"), op["ints"]["kernel"]
    bias = t.tensor(op, "bias") if "bias" in op["tensors"] else None
    if is_pointwise(op["ints"]):
        return linear(t, t.rows(x), x, weight, bias)
    taps = taps_of(weight, kernel)
    return convolution(t, x, taps, bias, op["ints"])


def depthwise_f32(t: Translation, op: Op, x: Value) -> Value:
    """A convolution of every column; with a kernel of 1, an affine map."""
    weight, graph = t.tensor(op, "weight"), t.graph
    bias = t.tensor(op, "bias") if "bias" in op["tensors"] else None
    if op["ints"]["kernel"] == 1 and is_pointwise(op["ints"]):
        gain = t.per_column(x, weight[:, 0])
        offset = None if bias is None else t.per_column(x, bias)

        def affine(name: str) -> str:
            scaled = graph.op("Mul", name, gain)
            return scaled if offset is None else graph.op("Add", scaled, offset)

        return t.elementwise(x, affine)
    return convolution(t, x, weight[:, None], bias, op["ints"] | {"groups": x.n_columns})


def is_pointwise(attributes: dict[str, int]) -> bool:
    """Whether a product reads one frame for each of its frames, without groups."""
    pads = attributes["pad_left"] + attributes["pad_right"]
    is_plain = attributes["stride"] == 1 and attributes.get("groups", 1) == 1
    return attributes["kernel"] == 1 and is_plain and not pads


def taps_of(weight: np.ndarray, kernel: int) -> np.ndarray:
    """A weight (out, kernel x in), tap by tap, as (out, in, kernel)."""
    return weight.reshape(len(weight), kernel, -1).transpose(0, 2, 1)


def linear(
    t: Translation, rows: str, x: Value, weight: np.ndarray | str, bias: np.ndarray | None
) -> Value:
    """Product of (B, T, C) with a weight (out, C), or with the name of its transpose."""
    n_out = len(bias) if isinstance(weight, str) and bias is not None else len(weight)
    name = weight if isinstance(weight, str) else t.graph.constant(weight.T)
    made = t.graph.op("MatMul", rows, name)
    if bias is not None:
        made = t.graph.op("Add", made, bias)
    return Value(n_out, x.lengths, rows=made)


def convolution(
    t: Translation,
    x: Value,
    weight: np.ndarray | str,
    bias: np.ndarray | None,
    attributes: dict[str, int],
    channels: str | None = None,
) -> Value:
    """Convolution with (out, in / groups, kernel), or its name if there is a bias.

    channels: input (B, C, T) with zeros at padding; by default made of x.
    """
    kernel, stride = attributes["kernel"], attributes["stride"]
    pads = (attributes["pad_left"], attributes["pad_right"])
    if channels is None:
        # Without pads, real frames never read padding, except of rows that are too short for the
        # window: those of a head, whose input is a linear layer.
        needs_mask = sum(pads) or x.rows is not None
        channels = t.masked_channels(x) if needs_mask else t.channels(x)
    inputs = [channels, weight] if bias is None else [channels, weight, bias]
    made = t.graph.op(
        "Conv",
        *inputs,
        kernel_shape=[kernel],
        strides=[stride],
        pads=list(pads),
        group=attributes["groups"],
    )
    assert not isinstance(weight, str) or bias is not None
    n_out = len(bias) if bias is not None else len(weight)
    return Value(n_out, t.lengths_after(x, kernel, stride, pads), channels=made)


def layer_norm(t: Translation, op: Op, x: Value, *residual: Value) -> Value:
    """Layer norm of every frame, or of the sum of two."""
    graph = t.graph
    read = t.rows(x)
    for other in residual:
        read = graph.op("Add", read, t.rows(other))
    made = graph.op(
        "LayerNormalization",
        read,
        t.tensor(op, "weight"),
        t.tensor(op, "bias"),
        axis=-1,
        epsilon=op["floats"]["eps"],
    )
    return Value(x.n_columns, x.lengths, rows=made)


def gelu(t: Translation, op: Op, x: Value) -> Value:
    """GELU with the exact erf, in the form that engines fuse."""
    graph = t.graph

    def make(name: str) -> str:
        erf = graph.op("Erf", graph.op("Div", name, scalar(math.sqrt(2))))
        doubled = graph.op("Mul", name, graph.op("Add", erf, scalar(1)))
        return graph.op("Mul", doubled, scalar(0.5))

    return t.elementwise(x, make)


def relu(t: Translation, op: Op, x: Value) -> Value:
    """ReLU."""
    return t.elementwise(x, lambda name: t.graph.op("Relu", name))


def silu(t: Translation, op: Op, x: Value) -> Value:
    """SiLU (swish)."""
    graph = t.graph
    return t.elementwise(x, lambda name: graph.op("Mul", name, graph.op("Sigmoid", name)))


def glu(t: Translation, op: Op, x: Value) -> Value:
    """The left half of the columns times the sigmoid of the right half."""
    left, right = t.graph.ops("Split", 2, t.rows(x), axis=-1, num_outputs=2)
    made = t.graph.op("Mul", left, t.graph.op("Sigmoid", right))
    return Value(x.n_columns // 2, x.lengths, rows=made)


def add(t: Translation, op: Op, x: Value, y: Value) -> Value:
    """Sum of two values."""
    if x.rows is None and y.rows is None:
        made = t.graph.op("Add", t.channels(x), t.channels(y))
        return Value(x.n_columns, x.lengths, channels=made)
    made = t.graph.op("Add", t.rows(x), t.rows(y))
    return Value(x.n_columns, x.lengths, rows=made)


def weighted_sum(t: Translation, op: Op, *states: Value) -> Value:
    """Sum of values, each times its weight."""
    total = ""
    for state, weight in zip(states, t.tensor(op, "weight"), strict=True):
        scaled = t.graph.op("Mul", t.rows(state), scalar(weight))
        total = t.graph.op("Add", total, scaled) if total else scaled
    return Value(states[0].n_columns, states[0].lengths, rows=total)


def sinusoids(t: Translation, op: Op, x: Value) -> Value:
    """Sines and cosines of all distances between frames, (1, 2 T - 1, C)."""
    graph, frequency = t.graph, t.tensor(op, "frequency")
    n_columns = op["ints"]["columns"]
    last = graph.op("Sub", t.n_frames(x), ints(1))
    rows = t.counted(graph.op("Add", graph.op("Add", last, last), ints(1)))
    distance = graph.op("Cast", graph.op("Sub", last, rows), to=TensorProto.FLOAT)
    distance = graph.op("Unsqueeze", distance, ints(0, 2))
    angle = graph.op("Unsqueeze", graph.op("Mul", distance, frequency), ints(-1))
    both = graph.op("Concat", graph.op("Sin", angle), graph.op("Cos", angle), axis=-1)
    table = graph.op("Reshape", both, ints(0, 0, 2 * len(frequency)))
    if n_columns < 2 * len(frequency):
        table = graph.op("Slice", table, ints(0), ints(n_columns), ints(2))
    return Value(n_columns, rows=table)


def distance_table(t: Translation, op: Op, x: Value) -> Value:
    """The row of a table of every distance -(T - 1), ..., T - 1, (1, 2 T - 1, C)."""
    graph, radius = t.graph, op["ints"]["radius"]
    last = graph.op("Sub", t.n_frames(x), ints(1))
    rows = t.counted(graph.op("Add", graph.op("Add", last, last), ints(1)))
    distance = graph.op("Sub", rows, last)
    near = graph.op("Min", graph.op("Max", distance, ints(-radius)), ints(radius))
    table = graph.op("Gather", t.tensor(op, "table"), graph.op("Add", near, ints(radius)), axis=0)
    return Value(op["ints"]["columns"], rows=graph.op("Unsqueeze", table, ints(0)))


def position_gate(t: Translation, op: Op, x: Value) -> Value:
    """`g1 (g2 constant - 1) + 2`, with the sigmoids of two adjacent columns for each head."""
    graph = t.graph
    pairs = graph.op("Reshape", t.rows(x), ints(0, 0, -1, 2))
    first, second = graph.ops("Split", 2, graph.op("Sigmoid", pairs), axis=-1, num_outputs=2)
    first, second = (graph.op("Squeeze", part, ints(3)) for part in (first, second))
    inner = graph.op("Sub", graph.op("Mul", second, t.tensor(op, "constant")), scalar(1))
    made = graph.op("Add", graph.op("Mul", first, inner), scalar(2))
    return Value(x.n_columns // 2, x.lengths, rows=made)


def repeat(t: Translation, op: Op, x: Value, like: Value) -> Value:
    """Every frame of x several times, cut to the frames of `like`."""
    graph = t.graph
    frame = graph.op("Unsqueeze", t.rows(x), ints(2))
    several = graph.op("Concat", *[frame] * op["ints"]["times"], axis=2)
    flat = graph.op("Reshape", several, ints(0, -1, x.n_columns))
    made = graph.op("Slice", flat, ints(0), t.n_frames(like), ints(1))
    return Value(x.n_columns, like.lengths, rows=made)


OPS: dict[str, Callable[..., Value]] = {
    "add": add,
    "conv_f32": conv_f32,
    "depthwise_f32": depthwise_f32,
    "distance_table": distance_table,
    "gelu": gelu,
    "glu": glu,
    "layer_norm": layer_norm,
    "position_gate": position_gate,
    "relu": relu,
    "repeat": repeat,
    "silu": silu,
    "sinusoids": sinusoids,
    "weighted_sum": weighted_sum,
}
