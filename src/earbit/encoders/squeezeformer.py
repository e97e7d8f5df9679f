"""Squeezeformer encoder (arXiv 2206.00888): post-norm blocks in a temporal U-Net.

A block is attention and feed-forward, then convolution and feed-forward.  Learned scales replace
the pre-norms of the Conformer, and swish replaces its gate.  Middle blocks have frames of 40 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.errors import ConfigError, require_range
from earbit.nn.convolution_module import UngatedConvolution, check_kernel
from earbit.nn.leaves import Conv1d, Linear
from earbit.nn.lengths import zero_padding
from earbit.nn.positional import PositionalConv, check_width
from earbit.nn.relative_attention import RelativeAttention
from earbit.nn.transformer_layer import FeedForward, check_layers, run_layers


@dataclass(frozen=True, kw_only=True, slots=True)
class SqueezeformerConfig:
    """Blocks at 20 ms, then at 40 ms, then at 20 ms; block indices start at 0."""

    n_layers: int
    d_model: int
    n_heads: int
    d_ffn: int
    reduce_before: int
    """Index of the first block at half the frame rate."""
    recover_before: int
    """Index of the block that returns to the full frame rate."""
    conv_kernel: int = 31
    """Kernel of the depthwise convolution in frames."""
    position_kernel: int | None = 128
    """Kernel in frames of the positional convolution of HuBERT; None omits it."""
    dropout: float = 0.1
    layer_drop: float = 0.05

    def __post_init__(self) -> None:
        check_layers(self.n_layers, self.d_ffn, self.dropout, self.layer_drop)
        check_width(self.d_model, self.n_heads, self.position_kernel)
        check_kernel(self.conv_kernel)
        require_range(2, 2**20, n_layers=self.n_layers)
        if not 0 <= self.reduce_before < self.recover_before < self.n_layers:
            reduce_before = min(max(0, self.reduce_before), self.n_layers - 2)
            recover_before = min(max(reduce_before + 1, self.recover_before), self.n_layers - 1)
            raise ConfigError(
                f"reduce_before={self.reduce_before}, recover_before={self.recover_before}; "
                f"allowed: 0 <= reduce_before < recover_before < n_layers={self.n_layers}; the "
                f"nearest that fit are {reduce_before} and {recover_before}"
            )


class LearnedScale(torch.nn.Module):
    """`scale * x + shift` per channel, in place of a pre-norm: (..., D) -> (..., D)."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(d_model))
        self.shift = torch.nn.Parameter(torch.zeros(d_model))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x + self.shift


class Residual(torch.nn.Module):
    """`LN(x + dropout(inner(scale x + shift)))`, the unit of a block."""

    def __init__(self, inner: torch.nn.Module, d_model: int, dropout: float) -> None:
        super().__init__()
        self.scale = LearnedScale(d_model)
        self.inner = inner
        self.dropout = torch.nn.Dropout(dropout)
        self.norm = torch.nn.LayerNorm(d_model)

    def forward(self, x_BTD: Tensor, *lengths: Tensor | None) -> Tensor:
        y_BTD: Tensor = self.norm(x_BTD + self.dropout(self.inner(self.scale(x_BTD), *lengths)))
        return y_BTD


class SqueezeformerBlock(torch.nn.Module):
    """Attention, feed-forward, convolution, feed-forward, post-norm: (B, T, D) -> (B, T, D)."""

    def __init__(self, config: SqueezeformerConfig) -> None:
        super().__init__()
        d_model, d_ffn, dropout = config.d_model, config.d_ffn, config.dropout
        parts = (
            RelativeAttention(d_model, config.n_heads, dropout),
            FeedForward(d_model, d_ffn, "silu", dropout),
            UngatedConvolution(d_model, config.conv_kernel),
            FeedForward(d_model, d_ffn, "silu", dropout),
        )
        self.attention, self.first_feed_forward, self.convolution, self.second_feed_forward = (
            Residual(part, d_model, dropout) for part in parts
        )

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> Tensor:
        x_BTD = self.first_feed_forward(self.attention(x_BTD, lengths))
        y_BTD: Tensor = self.second_feed_forward(self.convolution(x_BTD, lengths))
        return y_BTD


class TimeReduction(torch.nn.Module):
    """Halves the frame rate with a depthwise kernel of 5: (B, T, D) -> (B, ceil(T/2), D).

    Depthwise with stride 2 and zero padding at the end, then pointwise, without an activation.
    The first two frames of a window are the frames that its output replaces.
    """

    KERNEL = 5

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.depthwise = Conv1d(d_model, d_model, self.KERNEL, stride=2, groups=d_model)
        self.pointwise = Linear(d_model, d_model)

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> Tensor:
        n_frames = x_BTD.shape[1]
        # Pads 3 frames after an even number, 4 after an odd number, whose last frame is unpaired.
        n_pad = self.KERNEL - 2 + n_frames % 2
        x_BDT = F.pad(zero_padding(x_BTD.transpose(1, 2), lengths), (0, n_pad))
        y_BTD: Tensor = self.pointwise(self.depthwise(x_BDT).transpose(1, 2))
        return y_BTD


class SqueezeformerEncoder(torch.nn.Module):
    """(B, T, D) -> the encoder's input and the output of every block, each (B, T, D).

    Outputs at half the rate are repeated, so all hidden states have one vector per 20 ms.
    """

    def __init__(self, config: SqueezeformerConfig) -> None:
        super().__init__()
        self.layer_drop = config.layer_drop
        self.reduce_before, self.recover_before = config.reduce_before, config.recover_before
        self.position: PositionalConv | None = None
        self.norm: torch.nn.LayerNorm | None = None
        if config.position_kernel is not None:
            self.position = PositionalConv(config.d_model, config.position_kernel)
            self.norm = torch.nn.LayerNorm(config.d_model)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.layers = torch.nn.ModuleList(
            SqueezeformerBlock(config) for _ in range(config.n_layers)
        )
        self.reduction = TimeReduction(config.d_model)
        self.recovery = Linear(config.d_model, config.d_model)

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        if self.position is not None and self.norm is not None:
            x_BTD = self.norm(self.position(x_BTD, lengths))
        n_frames = x_BTD.shape[1]
        half_lengths = None if lengths is None else (lengths + 1) // 2
        first, last = self.reduce_before, self.recover_before
        states = run_layers(self.layers[:first], self.dropout(x_BTD), lengths, self.layer_drop)
        squeezed = run_layers(
            self.layers[first:last],
            self.reduction(states[-1], lengths),
            half_lengths,
            self.layer_drop,
        )
        at_full_rate = [state.repeat_interleave(2, dim=1)[:, :n_frames] for state in squeezed]
        recovered = self.recovery(at_full_rate[-1]) + states[-1]
        after = run_layers(self.layers[last:], recovered, lengths, self.layer_drop)
        return [*states, *at_full_rate[1:], *after[1:]]

    def layer_inputs(self, states: list[Tensor]) -> list[Tensor]:
        first, last = self.reduce_before, self.recover_before
        inputs = states[:-1]
        inputs[first] = self.reduction(inputs[first])
        # States at half the rate are repeated; every second frame gives the input of the layer.
        inputs[first + 1 : last] = [state[:, ::2] for state in inputs[first + 1 : last]]
        inputs[last] = self.recovery(states[last]) + states[first]
        return inputs
