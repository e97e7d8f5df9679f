"""Sparseformer encoder (arXiv 2311.02772): a Transformer with window self-attention.

The layers have no convolution.  Deep-narrow (DN) and shallow-wide (SW) presets differ in their
sizes only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from earbit.config import LATER
from earbit.errors import ConfigError, require_count, require_range
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


FramesOfLayers = int | tuple[int, ...]
"""Frames in all layers, or a number for every layer."""


def _as_tuple(frames: FramesOfLayers | None) -> tuple[int, ...]:
    if isinstance(frames, tuple):
        return frames
    return () if frames is None else (frames,)


@dataclass(frozen=True, kw_only=True, slots=True)
class SpanConfig:
    """Frames before and after a frame that it attends to, for models that stream.

    None is half of `pattern.frames`.
    """

    left: FramesOfLayers | None = None
    right: FramesOfLayers | None = None
    """Look-ahead; the sum over all layers is a part of the latency."""

    def __post_init__(self) -> None:
        for name in ("left", "right"):
            for frames in _as_tuple(getattr(self, name)):
                require_range(0, 2**20, **{name: frames})


@dataclass(frozen=True, kw_only=True, slots=True)
class PositionConfig:
    """Positional convolution: whether it reads a frame and earlier ones only (`causal`)."""

    causal: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SparseformerConfig:
    """Window self-attention layers after a convolutional position embedding."""

    n_layers: int
    d_model: int
    n_heads: int
    d_ffn: int
    pattern: WindowConfig = WindowConfig()
    position_kernel: int = 128
    """Kernel of the positional convolution in frames; it has 16 groups."""
    dropout: float = 0.1
    layer_drop: float = 0.05
    window: SpanConfig = field(default=SpanConfig(), metadata=LATER)
    position: PositionConfig = field(default=PositionConfig(), metadata=LATER)

    def __post_init__(self) -> None:
        check_layers(self.n_layers, self.d_ffn, self.dropout, self.layer_drop)
        require_count(position_kernel=self.position_kernel)
        check_width(self.d_model, self.n_heads, self.position_kernel)
        for name in ("left", "right"):
            frames = getattr(self.window, name)
            if isinstance(frames, tuple) and len(frames) != self.n_layers:
                raise ConfigError(
                    f"window.{name} has {len(frames)} numbers for n_layers={self.n_layers}; give "
                    "one number for all layers, or one for each"
                )

    def spans(self) -> list[tuple[int, int]]:
        """Frames before and after a frame that every layer attends to."""
        half = self.pattern.frames // 2
        left, right = (
            frames if isinstance(frames, tuple) else (half if frames is None else frames,)
            for frames in (self.window.left, self.window.right)
        )
        n = self.n_layers
        return [(left[i % len(left)], right[i % len(right)]) for i in range(n)]


class SparseformerEncoder(torch.nn.Module):
    """(B, T, D) -> the encoder's input and the output of every layer, each (B, T, D)."""

    def __init__(self, config: SparseformerConfig) -> None:
        super().__init__()
        self.layer_drop = config.layer_drop
        self.position = PositionalConv(
            config.d_model, config.position_kernel, is_causal=config.position.causal
        )
        self.norm = torch.nn.LayerNorm(config.d_model)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.layers = torch.nn.ModuleList(
            TransformerLayer(
                WindowAttention(config.d_model, config.n_heads, config.dropout, left, right),
                config.d_model,
                config.d_ffn,
                config.dropout,
            )
            for left, right in config.spans()
        )
        init_like_bert(self.layers)

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        x_BTD = self.dropout(self.norm(self.position(x_BTD, lengths)))
        return run_layers(self.layers, x_BTD, lengths, self.layer_drop)

    def layer_inputs(self, states: list[Tensor]) -> list[Tensor]:
        return states[:-1]
