"""Transformer encoder of HuBERT (arXiv 2106.07447) with full self-attention."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor

from earbit.config import LATER
from earbit.errors import require_choice, require_count
from earbit.nn.attention import SelfAttention
from earbit.nn.positional import PositionalConv, PositionNorm, check_width
from earbit.nn.transformer_layer import (
    PreNormLayer,
    TransformerLayer,
    check_layers,
    init_like_bert,
    run_stack,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerConfig:
    """Full self-attention layers after a convolutional position embedding."""

    n_layers: int
    d_model: int
    n_heads: int
    d_ffn: int
    norm: Literal["post", "pre"] = "post"
    """Layer norm after each residual sum (`post`, Base) or before each part (`pre`, Large)."""
    position_kernel: int = 128
    """Kernel of the positional convolution in frames; it has 16 groups."""
    dropout: float = 0.1
    layer_drop: float = 0.05
    position_norm: PositionNorm = field(default="weight", metadata=LATER)
    """Norm of the positional convolution; `batch` is `conv_pos_batch_norm` of fairseq."""

    def __post_init__(self) -> None:
        check_layers(self.n_layers, self.d_ffn, self.dropout, self.layer_drop)
        require_choice(("post", "pre"), norm=self.norm)
        require_choice(get_args(PositionNorm), position_norm=self.position_norm)
        require_count(position_kernel=self.position_kernel)
        check_width(self.d_model, self.n_heads, self.position_kernel)


class TransformerEncoder(torch.nn.Module):
    """(B, T, D) -> the encoder's input and the output of every layer, each (B, T, D)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.layer_drop = config.layer_drop
        self.is_pre_norm = config.norm == "pre"
        self.position = PositionalConv(config.d_model, config.position_kernel, config.position_norm)
        self.norm = torch.nn.LayerNorm(config.d_model)
        self.dropout = torch.nn.Dropout(config.dropout)
        layer = PreNormLayer if self.is_pre_norm else TransformerLayer
        self.layers = torch.nn.ModuleList(
            layer(
                SelfAttention(config.d_model, config.n_heads, config.dropout),
                config.d_model,
                config.d_ffn,
                config.dropout,
            )
            for _ in range(config.n_layers)
        )
        init_like_bert(self.layers)

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        return run_stack(self, self.position(x_BTD, lengths), lengths)

    def layer_inputs(self, states: list[Tensor]) -> list[Tensor]:
        return states[:-1]
