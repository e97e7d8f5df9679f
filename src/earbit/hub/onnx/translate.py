"""Translates a program to an ONNX model with dynamic numbers of clips and samples."""

from __future__ import annotations

from collections.abc import Callable

import onnx
from onnx import TensorProto

from earbit.errors import UnsupportedError
from earbit.export.program import Program
from earbit.hub.onnx import attention_ops, code_ops, float_ops, frame_ops, spectrum_ops
from earbit.hub.onnx.graph import Graph, ints
from earbit.hub.onnx.values import Translation, Value

OPS: dict[str, Callable[..., Value]] = {
    **attention_ops.OPS,
    **code_ops.OPS,
    **float_ops.OPS,
    **frame_ops.OPS,
    **spectrum_ops.OPS,
}
"""(translation, op, input values) -> the value that the op computes."""
AUDIO, MASK, FRAMES = "input_values", "attention_mask", "frame_lengths"
OUTPUT_NAMES = {"vector": "embeddings"}
"""Names of outputs by kind of head; `logits` of all others."""
Shape = list[str | int]


def onnx_model(
    program: Program, metadata: dict[str, str], n_samples: int | None = None
) -> onnx.ModelProto:
    """Translates a program, whose output is its head's if it has one, else the last hidden state.

    Inputs are `input_values`, float32 (batch, samples), and `attention_mask`, int64, 1 at samples
    and 0 at padding behind them.  A model for n_samples has one clip of this length and no mask.
    Raises UnsupportedError, naming it, for an op without a translation.
    """
    graph = Graph()
    t = Translation(graph, program, code_ops.has_integer_products(program))
    lengths = None
    if n_samples is None:
        lengths = graph.op("ReduceSum", MASK, ints(1), keepdims=0)
    t.values.append(Value(1, lengths, channels=graph.op("Unsqueeze", AUDIO, ints(1))))
    for number, op in enumerate(program.ops):
        if op["op"] not in OPS:
            raise UnsupportedError(
                f"op {op['op']!r} has no translation to ONNX; translated are {', '.join(OPS)}"
            )
        value = OPS[op["op"]](t, op, *(t.values[i] for i in op["inputs"]))
        if value.op is None:
            value.op = number
        t.values.append(value)
    audio_shape: Shape = ["batch", "samples"] if n_samples is None else [1, n_samples]
    inputs = {AUDIO: (TensorProto.FLOAT, audio_shape)}
    if n_samples is None:
        inputs[MASK] = (TensorProto.INT64, audio_shape)
    return graph.model(inputs, _outputs(t, audio_shape[0], n_samples is None), metadata)


def _outputs(t: Translation, n_clips: str | int, is_dynamic: bool) -> dict[str, tuple[int, Shape]]:
    """Names, types and shapes of the outputs, which are added to the graph."""
    graph, head = t.graph, t.program.head
    value = t.values[t.program.outputs[-1] if head is None else head["value"]]
    rows = t.rows(value)
    shape: Shape = [n_clips, "frames", value.n_columns]
    if head is not None and head["kind"] in ("class", "vector"):
        rows, shape = graph.op("Squeeze", rows, ints(1)), [n_clips, value.n_columns]
    name = "last_hidden_state"
    if head is not None:
        name = OUTPUT_NAMES.get(head["kind"], "logits")
    graph.rename(rows, name)
    outputs: dict[str, tuple[int, Shape]] = {name: (TensorProto.FLOAT, shape)}
    if is_dynamic and value.lengths is not None:
        graph.rename(value.lengths, FRAMES)
        outputs[FRAMES] = (TensorProto.INT64, [n_clips])
    return outputs
