"""Lowers the blocks that encoders share: norms, the positional convolution, feed-forward."""

from __future__ import annotations

import torch

from earbit.export.leaves import (
    activation,
    affine_of,
    array,
    input_bits,
    lower_conv,
    lower_linear,
)
from earbit.export.plain import PlainProgram, of_module
from earbit.nn.leaves import Conv1d
from earbit.nn.norms import ChannelNorm
from earbit.nn.positional import PositionalConv
from earbit.nn.transformer_layer import FeedForward


def lower_norm(
    program: PlainProgram, norm: torch.nn.Module, value: int, residual: int | None = None
) -> int:
    """Lowers a norm of every frame, or of every channel over all frames.

    residual: a value that the same op adds first, for norms of frames only.
    """
    assert isinstance(norm, (torch.nn.LayerNorm, ChannelNorm))
    is_of_channels = isinstance(norm, ChannelNorm)
    assert residual is None or not is_of_channels
    return program.add(
        "group_norm" if is_of_channels else "layer_norm",
        [value] if residual is None else [value, residual],
        floats={"eps": norm.eps},
        tensors={"weight": array(norm.weight), "bias": array(norm.bias)},
    )


@of_module
def lower_position(program: PlainProgram, name: str, position: PositionalConv, value: int) -> int:
    """Lowers the positional convolution."""
    conv = position.conv
    assert isinstance(conv, Conv1d)
    read = value
    if position.norm is not None:
        read = program.add_affine(value, affine_of(position.norm))
    read = input_bits(program, f"{name}.conv", conv, read)
    moved = lower_conv(program, f"{name}.conv", conv, read, drop=position.n_dropped)
    return program.add("add", [value, activation(program, moved, "gelu")])


def lower_feed_forward(program: PlainProgram, name: str, block: FeedForward, value: int) -> int:
    """Lowers two linear layers."""
    for role, leaf in (("intermediate", block.intermediate), ("output", block.output)):
        value = input_bits(program, f"{name}.{role}", leaf, value)
        value = lower_linear(program, f"{name}.{role}", leaf, value)
    return value
