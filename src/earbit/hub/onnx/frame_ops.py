"""Ops on floats that read all frames of a clip: norms and statistics over time, LSTMs.

Letters: B batch, T frames, C columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from earbit.hub.onnx.graph import ints, scalar
from earbit.hub.onnx.values import Translation, Value

Op = dict[str, Any]
GATES = (0, 3, 1, 2)
"""Order of gates in ONNX (input, output, forget, cell) as places in input, forget, cell, output."""


def group_norm(t: Translation, op: Op, x: Value) -> Value:
    """Each column, normalized over its real frames."""
    weight, bias = t.tensor(op, "weight"), t.tensor(op, "bias")
    made = normalized(t, x, weight, bias, op["floats"]["eps"])
    return Value(x.n_columns, x.lengths, channels=made)


def normalized(t: Translation, x: Value, weight: np.ndarray, bias: np.ndarray, eps: float) -> str:
    """Channels (B, C, T), normalized over the real frames of each row."""
    graph = t.graph
    if x.lengths is None:
        return graph.op("InstanceNormalization", t.channels(x), weight, bias, epsilon=eps)
    centred, variance = _moments(t, x)
    deviation = graph.op("Sqrt", graph.op("Add", variance, scalar(eps)))
    # In the order of the model, so that roundings, and thus codes, are the same.
    gain = graph.op("Mul", graph.op("Reciprocal", deviation), weight[:, None])
    return graph.op("Add", graph.op("Mul", centred, gain), bias[:, None])


def mean_frames(t: Translation, op: Op, x: Value) -> Value:
    """Mean of each column over the real frames, one row."""
    return Value(x.n_columns, channels=_mean(t, t.masked_channels(x), x))


def deviation_frames(t: Translation, op: Op, x: Value) -> Value:
    """Standard deviation of each column over the real frames, one row."""
    _, variance = _moments(t, x)
    graph = t.graph
    made = graph.op("Sqrt", graph.op("Add", variance, scalar(op["floats"]["eps"])))
    return Value(x.n_columns, channels=made)


def _mean(t: Translation, masked: str, x: Value) -> str:
    """Mean of (B, C, T), zero at padding, over the real frames: (B, C, 1)."""
    graph = t.graph
    if x.lengths is None:
        return graph.op("ReduceMean", masked, ints(2), keepdims=1)
    n = graph.op("Cast", graph.op("Unsqueeze", x.lengths, ints(1, 2)), to=1)
    return graph.op("Div", graph.op("ReduceSum", masked, ints(2), keepdims=1), n)


def _moments(t: Translation, x: Value) -> tuple[str, str]:
    """Centred channels, zero at padding, and their variance (B, C, 1)."""
    graph = t.graph

    def make() -> tuple[str, str]:
        masked = t.masked_channels(x)
        centred = graph.op("Sub", masked, _mean(t, masked, x))
        mask = t.mask(x)
        if mask is not None:
            centred = graph.op("Mul", centred, graph.op("Unsqueeze", mask, ints(1)))
        return centred, _mean(t, graph.op("Mul", centred, centred), x)

    made: tuple[str, str] = t.once(("moments", t.channels(x)), make)
    return made


def lstm(t: Translation, op: Op, gates: Value) -> Value:
    """One direction of an LSTM; its input products are computed in the node."""
    recurrent = t.tensor(op, "weight")
    width = recurrent.shape[1]
    parts, weights, bias = _input_products(t, gates)
    graph = t.graph
    read = [t.rows(part) for part in parts]
    x_BTC = read[0] if len(read) == 1 else graph.op("Concat", *read, axis=-1)
    x_TBC = graph.op("Transpose", x_BTC, perm=[1, 0, 2])
    lengths = "" if gates.lengths is None else graph.op("Cast", gates.lengths, to=6)
    bias = np.concatenate([_ordered(bias), np.zeros(4 * width, np.float32)])
    outputs = graph.ops(
        "LSTM",
        1,
        x_TBC,
        _ordered(np.concatenate(weights, axis=1))[None],
        _ordered(recurrent)[None],
        bias[None],
        lengths,
        hidden_size=width,
        direction="reverse" if op["ints"]["reverse"] else "forward",
    )
    h_TBC = graph.op("Squeeze", outputs[0], ints(1))
    return Value(width, gates.lengths, rows=graph.op("Transpose", h_TBC, perm=[1, 0, 2]))


def _input_products(
    t: Translation, gates: Value
) -> tuple[list[Value], list[np.ndarray], np.ndarray]:
    """Inputs, weights and bias of the linear layers whose sum is the input of an LSTM."""
    assert gates.op is not None
    op = t.program.ops[gates.op]
    inputs = [t.values[i] for i in op["inputs"]]
    if op["op"] == "conv_f32":
        bias = t.tensor(op, "bias") if "bias" in op["tensors"] else np.float32(0)
        weight = t.tensor(op, "weight")
        return inputs, [weight], np.broadcast_to(bias, len(weight))
    assert op["op"] == "add", op["op"]
    found = [_input_products(t, part) for part in inputs]
    parts = [value for values, _, _ in found for value in values]
    weights = [weight for _, of_part, _ in found for weight in of_part]
    return parts, weights, np.stack([bias for _, _, bias in found]).sum(0, dtype=np.float32)


def _ordered(gates: np.ndarray) -> np.ndarray:
    """Rows of four gates in the order of ONNX."""
    return np.concatenate([np.split(gates, 4)[i] for i in GATES])


OPS: dict[str, Callable[..., Value]] = {
    "deviation_frames": deviation_frames,
    "group_norm": group_norm,
    "lstm": lstm,
    "mean_frames": mean_frames,
}
