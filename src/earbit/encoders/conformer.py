"""Conformer encoder (arXiv 2005.08100): relative attention and convolution in every layer.

The input comes from the same front end and projection as in every other encoder.  The 2-D
subsampling of the original recogniser is omitted, since frames are already 20 ms apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from earbit.nn.convolution_module import GatedConvolution, check_kernel
from earbit.nn.positional import PositionalConv, check_width
from earbit.nn.relative_attention import RelativeAttention
from earbit.nn.transformer_layer import FeedForward, check_layers, run_layers


@dataclass(frozen=True, kw_only=True, slots=True)
class ConformerConfig:
    """Layers of half-step feed-forward, attention, convolution and half-step feed-forward."""

    n_layers: int
    d_model: int
    n_heads: int
    d_ffn: int
    conv_kernel: int = 31
    """Kernel of the depthwise convolution in frames; 32 in the paper, 31 in implementations."""
    position_kernel: int | None = 128
    """Kernel in frames of the positional convolution of HuBERT; None omits it."""
    dropout: float = 0.1
    layer_drop: float = 0.05

    def __post_init__(self) -> None:
        check_layers(self.n_layers, self.d_ffn, self.dropout, self.layer_drop)
        check_width(self.d_model, self.n_heads, self.position_kernel)
        check_kernel(self.conv_kernel)


class ConformerLayer(torch.nn.Module):
    """`x += FF1/2; x += attention; x += convolution; x += FF2/2; x = LN(x)`: (B, T, D) -> same.

    Every part has its own layer norm on its input.
    """

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        d_model, d_ffn, dropout = config.d_model, config.d_ffn, config.dropout
        self.first_norm = torch.nn.LayerNorm(d_model)
        self.first_feed_forward = FeedForward(d_model, d_ffn, "silu", dropout)
        self.attention_norm = torch.nn.LayerNorm(d_model)
        self.attention = RelativeAttention(d_model, config.n_heads, dropout)
        self.convolution_norm = torch.nn.LayerNorm(d_model)
        self.convolution = GatedConvolution(d_model, config.conv_kernel)
        self.second_norm = torch.nn.LayerNorm(d_model)
        self.second_feed_forward = FeedForward(d_model, d_ffn, "silu", dropout)
        self.output_norm = torch.nn.LayerNorm(d_model)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> Tensor:
        drop = self.dropout
        x_BTD = x_BTD + 0.5 * drop(self.first_feed_forward(self.first_norm(x_BTD)))
        x_BTD = x_BTD + drop(self.attention(self.attention_norm(x_BTD), lengths))
        x_BTD = x_BTD + drop(self.convolution(self.convolution_norm(x_BTD), lengths))
        x_BTD = x_BTD + 0.5 * drop(self.second_feed_forward(self.second_norm(x_BTD)))
        y_BTD: Tensor = self.output_norm(x_BTD)
        return y_BTD


class ConformerEncoder(torch.nn.Module):
    """(B, T, D) -> the encoder's input and the output of every layer, each (B, T, D)."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.layer_drop = config.layer_drop
        self.position: PositionalConv | None = None
        self.norm: torch.nn.LayerNorm | None = None
        if config.position_kernel is not None:
            self.position = PositionalConv(config.d_model, config.position_kernel)
            self.norm = torch.nn.LayerNorm(config.d_model)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.layers = torch.nn.ModuleList(ConformerLayer(config) for _ in range(config.n_layers))

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        if self.position is not None and self.norm is not None:
            x_BTD = self.norm(self.position(x_BTD, lengths))
        return run_layers(self.layers, self.dropout(x_BTD), lengths, self.layer_drop)

    def layer_inputs(self, states: list[Tensor]) -> list[Tensor]:
        return states[:-1]
