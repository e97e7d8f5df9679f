"""Lowers the Squeezeformer and its U-Net over time."""

from __future__ import annotations

from typing import assert_never

from earbit.encoders.squeezeformer import (
    Residual,
    SqueezeformerBlock,
    SqueezeformerEncoder,
    TimeReduction,
)
from earbit.errors import UnsupportedError
from earbit.export.blocks import lower_feed_forward, lower_norm, lower_position
from earbit.export.convolution_module import lower_depthwise, lower_ungated_convolution
from earbit.export.leaves import array, input_bits, lower_linear
from earbit.export.plain import Affine, PlainProgram
from earbit.export.relative_attention import lower_distances, lower_relative_attention
from earbit.nn.convolution_module import UngatedConvolution
from earbit.nn.relative_attention import RelativeAttention
from earbit.nn.transformer_layer import FeedForward


def lower_squeezeformer(
    program: PlainProgram, name: str, encoder: SqueezeformerEncoder, value: int
) -> list[int]:
    """Lowers an encoder to hidden states at the full rate: its input, the output of every block."""
    if encoder.position is not None and encoder.norm is not None:
        value = lower_position(program, f"{name}.position", encoder.position, value)
        value = lower_norm(program, encoder.norm, value)
    first, last = encoder.reduce_before, encoder.recover_before
    d_model = encoder.recovery.in_features
    distances = lower_distances(program, value, d_model)
    states = [value]
    for i in range(first):
        states.append(_block(program, name, encoder, i, states[-1], distances))
    full, half = states[-1], _reduction(program, f"{name}.reduction", encoder.reduction, states[-1])
    half_distances = lower_distances(program, half, d_model)
    for i in range(first, last):
        half = _block(program, name, encoder, i, half, half_distances)
        states.append(program.add("repeat", [half, full], ints={"times": 2}))
    read = input_bits(program, f"{name}.recovery", encoder.recovery, states[-1])
    recovered = lower_linear(program, f"{name}.recovery", encoder.recovery, read)
    value = program.add("add", [recovered, full])
    for i in range(last, len(encoder.layers)):
        value = _block(program, name, encoder, i, value, distances)
        states.append(value)
    return states


def _reduction(program: PlainProgram, name: str, block: TimeReduction, value: int) -> int:
    if not block.depthwise.precision.is_float:
        raise UnsupportedError(
            f"{name}.depthwise: zeros behind the audio come before its bits, and no op adds them; "
            "leave it in float in the plan"
        )
    # After an even number of frames, the last zero of the padding is never read.
    n_zeros = block.KERNEL - 1
    value = lower_depthwise(program, f"{name}.depthwise", block.depthwise, value, pad_right=n_zeros)
    value = input_bits(program, f"{name}.pointwise", block.pointwise, value)
    return lower_linear(program, f"{name}.pointwise", block.pointwise, value)


def _block(
    program: PlainProgram,
    name: str,
    encoder: SqueezeformerEncoder,
    i: int,
    value: int,
    distances: int,
) -> int:
    block = encoder.layers[i]
    assert isinstance(block, SqueezeformerBlock)
    for part in ("attention", "first_feed_forward", "convolution", "second_feed_forward"):
        residual = getattr(block, part)
        value = _residual(program, f"{name}.layers.{i}.{part}", residual, value, distances)
    return value


def _residual(program: PlainProgram, name: str, block: Residual, value: int, distances: int) -> int:
    learned = Affine(array(block.scale.scale), array(block.scale.shift))
    inner, read = block.inner, program.add_affine(value, learned)
    assert isinstance(inner, (RelativeAttention, FeedForward, UngatedConvolution))
    match inner:
        case RelativeAttention():
            made = lower_relative_attention(program, f"{name}.inner", inner, read, distances)
        case FeedForward():
            made = lower_feed_forward(program, f"{name}.inner", inner, read)
        case UngatedConvolution():
            made = lower_ungated_convolution(program, f"{name}.inner", inner, read)
        case _:
            assert_never(inner)
    return lower_norm(program, block.norm, made, value)
