"""Lowers the blocks that encoders share: norms, the positional convolution, feed-forward."""

from __future__ import annotations

import torch

from earbit.export.leaves import (
    Affine,
    activation,
    affine_of,
    array,
    input_bits,
    lower_affine,
    lower_conv,
    lower_linear,
    next_binarizer,
)
from earbit.export.program import Program
from earbit.nn.leaves import Conv1d
from earbit.nn.norms import ChannelNorm
from earbit.nn.positional import PositionalConv
from earbit.nn.transformer_layer import FeedForward


def lower_norm(
    program: Program, norm: torch.nn.Module, value: int, residual: int | None = None
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


def lower_position(program: Program, name: str, position: PositionalConv, value: int) -> int:
    """Lowers the positional convolution."""
    conv = position.conv
    assert isinstance(conv, Conv1d)
    read = value
    if position.norm is not None:
        read = lower_affine(program, value, affine_of(position.norm))
    read = input_bits(program, f"{name}.conv", conv, read)
    # An even kernel padded by half on both sides gives one extra frame.
    moved = lower_conv(program, f"{name}.conv", conv, read, drop=1 - conv.kernel_size[0] % 2)
    return program.add("add", [value, activation(program, moved, "gelu")])


def lower_feed_forward(
    program: Program, name: str, block: FeedForward, value: int, *, affine: Affine | None = None
) -> int:
    """Lowers two linear layers. `affine` is applied to the output."""
    then = next_binarizer(f"{name}.output", block.output)
    value = input_bits(program, f"{name}.intermediate", block.intermediate, value)
    value = lower_linear(program, f"{name}.intermediate", block.intermediate, value, then=then)
    if then is None:
        value = input_bits(program, f"{name}.output", block.output, value)
    return lower_linear(program, f"{name}.output", block.output, value, affine=affine)
