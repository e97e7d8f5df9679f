"""The Sparseformer (arXiv 2311.02772): a Transformer whose frames see some of the others only.

The pattern is a window of neighbours, or one of Child et al. (arXiv 1904.10509).  Nothing in the
layers is convolutional.  Deep and narrow (DN) or shallow and wide (SW) is a matter of the numbers.
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
    """A frame sees the frames at most half a window away, on both sides; a frame is 20 ms."""

    frames: int = 32

    def __post_init__(self) -> None:
        require_count(frames=self.frames)


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedConfig:
    """A frame sees its own block of `stride` frames, and the end of every block."""

    stride: int = 32
    expressivity: int = 8
    """Frames at the end of a block that all frames see."""
    heads: Heads = "merged"

    def __post_init__(self) -> None:
        require_count(stride=self.stride, expressivity=self.expressivity)
        require_range(1, self.stride + 1, expressivity=self.expressivity)
        require_choice(get_args(Heads), heads=self.heads)


@dataclass(frozen=True, kw_only=True, slots=True)
class StridedConfig:
    """A frame sees the frames at most `stride` away, and all at a multiple of it."""

    stride: int = 32
    heads: Heads = "merged"

    def __post_init__(self) -> None:
        require_count(stride=self.stride)
        require_choice(get_args(Heads), heads=self.heads)


PatternConfig = WindowConfig | FixedConfig | StridedConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class SparseformerConfig:
    """Layers of sparse attention behind a convolutional position embedding."""

    n_layers: int
    d_model: int
    n_heads: int
    d_ffn: int
    pattern: PatternConfig = WindowConfig()
    position_kernel: int = 128
    """Frames that the positional convolution sees; it has 16 groups."""
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
