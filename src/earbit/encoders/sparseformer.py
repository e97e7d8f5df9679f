"""Sparseformer encoder (arXiv 2311.02772): a Transformer with sparse self-attention.

The pattern is a window of neighbours, or a pattern of Child et al. (arXiv 1904.10509).  The layers
have no convolution.  Deep-narrow (DN) and shallow-wide (SW) variants differ in sizes only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never, get_args

import torch
from torch import Tensor

from earbit.errors import require_choice, require_count, require_range
from earbit.nn.attention import SelfAttention
from earbit.nn.pattern_attention import FixedAttention, Heads, StridedAttention
from earbit.nn.positional import PositionalConv, check_width
from earbit.nn.transformer_layer import (
    TransformerLayer,
    check_layers,
    init_like_bert,
    run_layers,
)
from earbit.nn.window_attention import WindowAttention


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowConfig:
    """Window pattern: a frame attends to frames at most half a window away; a frame is 20 ms."""

    frames: int = 32

    def __post_init__(self) -> None:
        require_count(frames=self.frames)


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedConfig:
    """Fixed pattern: a frame attends to its block of `stride` frames and the end of all blocks."""

    stride: int = 32
    expressivity: int = 8
    """Number of frames at the end of a block that all frames attend to."""
    heads: Heads = "merged"

    def __post_init__(self) -> None:
        require_count(stride=self.stride, expressivity=self.expressivity)
        require_range(1, self.stride + 1, expressivity=self.expressivity)
        require_choice(get_args(Heads), heads=self.heads)


@dataclass(frozen=True, kw_only=True, slots=True)
class StridedConfig:
    """Strided pattern: a frame attends to distances up to `stride` and its multiples."""

    stride: int = 32
    heads: Heads = "merged"

    def __post_init__(self) -> None:
        require_count(stride=self.stride)
        require_choice(get_args(Heads), heads=self.heads)


PatternConfig = WindowConfig | FixedConfig | StridedConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class SparseformerConfig:
    """Sparse self-attention layers after a convolutional position embedding."""

    n_layers: int
    d_model: int
    n_heads: int
    d_ffn: int
    pattern: PatternConfig = WindowConfig()
    position_kernel: int = 128
    """Kernel of the positional convolution in frames; it has 16 groups."""
    dropout: float = 0.1
    layer_drop: float = 0.05

    def __post_init__(self) -> None:
        check_layers(self.n_layers, self.d_ffn, self.dropout, self.layer_drop)
        check_width(self.d_model, self.n_heads, self.position_kernel)
        if getattr(self.pattern, "heads", "merged") == "split":
            require_range(2, 2**20, n_heads=self.n_heads)


class SparseformerEncoder(torch.nn.Module):
    """(B, T, D) -> the encoder's input and the output of every layer, each (B, T, D)."""

    def __init__(self, config: SparseformerConfig) -> None:
        super().__init__()
        self.layer_drop = config.layer_drop
        self.position = PositionalConv(config.d_model, config.position_kernel)
        self.norm = torch.nn.LayerNorm(config.d_model)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.layers = torch.nn.ModuleList(
            TransformerLayer(
                _attention(config),
                config.d_model,
                config.d_ffn,
                config.dropout,
            )
            for _ in range(config.n_layers)
        )
        init_like_bert(self.layers)

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        x_BTD = self.dropout(self.norm(self.position(x_BTD, lengths)))
        return run_layers(self.layers, x_BTD, lengths, self.layer_drop)

    def layer_inputs(self, states: list[Tensor]) -> list[Tensor]:
        return states[:-1]


def _attention(config: SparseformerConfig) -> SelfAttention:
    shape = (config.d_model, config.n_heads, config.dropout)
    match config.pattern:
        case WindowConfig(frames=frames):
            return WindowAttention(*shape, frames)
        case FixedConfig(stride=stride, expressivity=expressivity, heads=heads):
            return FixedAttention(*shape, stride=stride, expressivity=expressivity, heads=heads)
        case StridedConfig(stride=stride, heads=heads):
            return StridedAttention(*shape, stride=stride, heads=heads)
    assert_never(config.pattern)
