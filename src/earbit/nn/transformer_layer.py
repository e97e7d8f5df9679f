"""Transformer layers of HuBERT, post-norm and pre-norm, for any self-attention."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from earbit.errors import require_count, require_range
from earbit.nn.attention import SelfAttention
from earbit.nn.leaves import ActivationName, Linear
from earbit.nn.norms import at_least_float32
from earbit.nn.roles import Role


def check_layers(n_layers: int, d_ffn: int, dropout: float, layer_drop: float) -> None:
    """Raises ConfigError for invalid sizes or probabilities of a stack of layers."""
    require_count(n_layers=n_layers, d_ffn=d_ffn)
    require_range(1, 2**10, n_layers=n_layers)
    require_range(0, 1, dropout=dropout, layer_drop=layer_drop)


class FeedForward(torch.nn.Module):
    """Feed-forward `W2 act(W1 x + b1) + b2`: (B, T, D) -> (B, T, D).

    The activation belongs to the second leaf.
    """

    role: Role = "feed_forward"

    def __init__(
        self,
        d_model: int,
        d_ffn: int,
        activation: ActivationName = "gelu",
        activation_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.intermediate = Linear(d_model, d_ffn)
        self.output = Linear(
            d_ffn, d_model, input_activation=activation, input_dropout=activation_dropout
        )

    def forward(self, x_BTD: Tensor) -> Tensor:
        y_BTD: Tensor = self.output(self.intermediate(x_BTD))
        return y_BTD


class TransformerLayer(torch.nn.Module):
    """Post-norm layer `LN(x + attention(x))`, then `LN(x + feed_forward(x))`: (B, T, D) -> same."""

    def __init__(self, attention: SelfAttention, d_model: int, d_ffn: int, dropout: float) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = torch.nn.LayerNorm(d_model)
        self.feed_forward = FeedForward(d_model, d_ffn)
        self.output_norm = torch.nn.LayerNorm(d_model)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> Tensor:
        x_BTD = self.attention_norm(x_BTD + self.dropout(self.attention(x_BTD, lengths)))
        y_BTD: Tensor = self.output_norm(x_BTD + self.dropout(self.feed_forward(x_BTD)))
        return y_BTD


class PreNormLayer(TransformerLayer):
    """Pre-norm layer `x + attention(LN(x))`, then `x + feed_forward(LN(x))`: (B, T, D) -> same.

    As in HuBERT Large.  Module names equal the names in the post-norm layer, as in fairseq, so
    `output_norm` precedes the feed-forward.
    """

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> Tensor:
        x_BTD = x_BTD + self.dropout(self.attention(self.attention_norm(x_BTD), lengths))
        y_BTD: Tensor = x_BTD + self.dropout(self.feed_forward(self.output_norm(x_BTD)))
        return y_BTD


def run_layers(
    layers: torch.nn.ModuleList, x_BTD: Tensor, lengths: Tensor | None, layer_drop: float
) -> list[Tensor]:
    """Input and output of every layer; training skips a layer with probability `layer_drop`."""
    states = [x_BTD]
    for layer in layers:
        is_dropped = layer.training and layer_drop > 0 and float(torch.rand(())) < layer_drop
        states.append(states[-1] if is_dropped else layer(states[-1], lengths))
    return states


class NormedStack(Protocol):
    """Layers with one more norm: before the first layer, or after the last if they are pre-norm."""

    layers: torch.nn.ModuleList
    layer_drop: float
    is_pre_norm: bool
    norm: torch.nn.LayerNorm
    dropout: torch.nn.Dropout


def run_stack(stack: NormedStack, x_BTD: Tensor, lengths: Tensor | None) -> list[Tensor]:
    """Input of the first layer and output of every layer of a post-norm or pre-norm encoder."""
    if not stack.is_pre_norm:
        normed_BTD = stack.dropout(stack.norm(x_BTD))
        return run_layers(stack.layers, normed_BTD, lengths, stack.layer_drop)
    # Under autocast a product is 16 bits wide, and no norm follows that would widen the sums.
    states = run_layers(
        stack.layers, stack.dropout(at_least_float32(x_BTD)), lengths, stack.layer_drop
    )
    return [*states[:-1], stack.norm(states[-1])]


def init_like_bert(module: torch.nn.Module) -> None:
    """Initialises linear weights from N(0, 0.02) and biases to 0; convolutions are unchanged."""
    for leaf in module.modules():
        if isinstance(leaf, Linear):
            torch.nn.init.normal_(leaf.weight, std=0.02)
            if leaf.bias is not None:
                torch.nn.init.zeros_(leaf.bias)
