"""Lowers the layers of a Transformer, a Sparseformer and WavLM."""

from __future__ import annotations

from earbit.encoders.sparseformer import SparseformerEncoder
from earbit.encoders.transformer import TransformerEncoder
from earbit.encoders.wavlm import WavlmEncoder
from earbit.export.attention import lower_attention
from earbit.export.blocks import lower_feed_forward, lower_norm, lower_position
from earbit.export.plain import PlainProgram
from earbit.export.position_bias import lower_distances
from earbit.nn.transformer_layer import PreNormLayer, TransformerLayer


def lower_transformer(
    program: PlainProgram,
    name: str,
    encoder: TransformerEncoder | SparseformerEncoder | WavlmEncoder,
    value: int,
) -> list[int]:
    """Lowers an encoder to its hidden states: its input, and the output of every layer."""
    value = lower_position(program, f"{name}.position", encoder.position, value)
    is_pre_norm = isinstance(encoder.layers[0], PreNormLayer)
    distances = None
    if isinstance(encoder, WavlmEncoder):
        distances = lower_distances(program, value, encoder.position_bias)
    states = [value if is_pre_norm else lower_norm(program, encoder.norm, value)]
    for i, layer in enumerate(encoder.layers):
        assert isinstance(layer, TransformerLayer)
        lower = _pre_norm_layer if is_pre_norm else _layer
        states.append(lower(program, f"{name}.layers.{i}", layer, states[-1], distances))
    if is_pre_norm:
        states[-1] = lower_norm(program, encoder.norm, states[-1])
    return states


def _layer(
    program: PlainProgram, name: str, layer: TransformerLayer, value: int, distances: int | None
) -> int:
    attended = lower_attention(program, f"{name}.attention", layer.attention, value, distances)
    value = lower_norm(program, layer.attention_norm, attended, value)
    fed = lower_feed_forward(program, f"{name}.feed_forward", layer.feed_forward, value)
    return lower_norm(program, layer.output_norm, fed, value)


def _pre_norm_layer(
    program: PlainProgram, name: str, layer: TransformerLayer, value: int, distances: int | None
) -> int:
    read = lower_norm(program, layer.attention_norm, value)
    attended = lower_attention(program, f"{name}.attention", layer.attention, read, distances)
    value = program.add("add", [value, attended])
    read = lower_norm(program, layer.output_norm, value)
    fed = lower_feed_forward(program, f"{name}.feed_forward", layer.feed_forward, read)
    return program.add("add", [value, fed])
