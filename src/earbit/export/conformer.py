"""Lowers the Conformer."""

from __future__ import annotations

import numpy as np
import torch

from earbit.encoders.conformer import ConformerEncoder, ConformerLayer
from earbit.export.blocks import lower_feed_forward, lower_norm, lower_position
from earbit.export.convolution_module import lower_gated_convolution
from earbit.export.plain import Affine, PlainProgram
from earbit.export.relative_attention import lower_distances, lower_relative_attention
from earbit.nn.transformer_layer import FeedForward


def lower_conformer(
    program: PlainProgram, name: str, encoder: ConformerEncoder, value: int
) -> list[int]:
    """Lowers an encoder to its hidden states: its input, and the output of every layer."""
    if encoder.position is not None and encoder.norm is not None:
        value = lower_position(program, f"{name}.position", encoder.position, value)
        value = lower_norm(program, encoder.norm, value)
    first = encoder.layers[0]
    assert isinstance(first, ConformerLayer)
    distances = lower_distances(program, value, first.attention.out_proj.out_features)
    states = [value]
    for i, layer in enumerate(encoder.layers):
        assert isinstance(layer, ConformerLayer)
        states.append(_layer(program, f"{name}.layers.{i}", layer, states[-1], distances))
    return states


def _layer(
    program: PlainProgram, name: str, layer: ConformerLayer, value: int, distances: int
) -> int:
    value = _half(
        program, f"{name}.first_feed_forward", layer.first_norm, layer.first_feed_forward, value
    )
    read = lower_norm(program, layer.attention_norm, value)
    made = lower_relative_attention(program, f"{name}.attention", layer.attention, read, distances)
    value = program.add("add", [value, made])
    read = lower_norm(program, layer.convolution_norm, value)
    made = lower_gated_convolution(program, f"{name}.convolution", layer.convolution, read)
    value = program.add("add", [value, made])
    value = _half(
        program, f"{name}.second_feed_forward", layer.second_norm, layer.second_feed_forward, value
    )
    return lower_norm(program, layer.output_norm, value)


def _half(
    program: PlainProgram, name: str, norm: torch.nn.LayerNorm, block: FeedForward, value: int
) -> int:
    """Lowers `value + block(norm(value)) / 2`."""
    width = block.output.out_features
    half = Affine(np.full(width, 0.5, np.float32), np.zeros(width, np.float32))
    read = lower_norm(program, norm, value)
    made = program.add_affine(lower_feed_forward(program, name, block, read), half)
    return program.add("add", [value, made])
