"""Convolutional position embedding with a wide grouped kernel (wav2vec 2.0)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from earbit.errors import ConfigError, require_count
from earbit.nn.attention import check_heads, nearest_multiple
from earbit.nn.leaves import Conv1d
from earbit.nn.lengths import zero_padding
from earbit.nn.norms import FrameBatchNorm
from earbit.nn.roles import Role

N_GROUPS = 16
PositionNorm = Literal["weight", "batch"]
"""Norm of the positional convolution: weight norm with one gain per tap (wav2vec 2.0, HuBERT), or
batch norm of its input, for training in bfloat16."""


def check_width(d_model: int, n_heads: int, position_kernel: int | None) -> None:
    """Raises ConfigError with the nearest valid width if heads or groups do not divide it.

    position_kernel: kernel of the positional convolution in frames, None if it is omitted.
    """
    if position_kernel is None:
        check_heads(d_model, n_heads)
        return
    require_count(d_model=d_model, n_heads=n_heads, position_kernel=position_kernel)
    step = math.lcm(n_heads, N_GROUPS)
    if d_model % step:
        raise ConfigError(
            f"d_model={d_model} is not a multiple of both n_heads={n_heads} and {N_GROUPS}, the "
            f"groups of the positional convolution; {nearest_multiple(d_model, step)}"
        )


class PositionalConv(torch.nn.Module):
    """`x + GELU(conv(x))`: (B, T, D) -> (B, T, D); padded frames count as zeros.

    The kernel is padded by half on both sides, so the output of an even kernel has one extra frame,
    which is dropped.  A causal one reads a frame and those before it.
    """

    role: Role = "position"

    def __init__(
        self, d_model: int, kernel: int, norm: PositionNorm = "weight", *, is_causal: bool = False
    ) -> None:
        super().__init__()
        self.norm = FrameBatchNorm(d_model) if norm == "batch" else None
        # A leaf pads both sides alike: dropping the last kernel - 1 frames leaves padding in front.
        n_pad = kernel - 1 if is_causal else kernel // 2
        conv = Conv1d(d_model, d_model, kernel, padding=n_pad, groups=N_GROUPS)
        torch.nn.init.normal_(conv.weight, std=math.sqrt(4 / (kernel * d_model)))
        torch.nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        self.conv = conv if norm == "batch" else weight_norm(conv, dim=2)
        self.n_dropped = 2 * n_pad + 1 - kernel
        """Frames of the convolution beyond one per input."""

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> Tensor:
        n_frames = x_BTD.shape[1]
        x_BDT = zero_padding(x_BTD.transpose(1, 2), lengths)
        read_BDT = x_BDT if self.norm is None else self.norm(x_BDT, lengths)
        position_BDT = self.conv(read_BDT, lengths)[..., :n_frames]
        return (x_BDT + F.gelu(position_BDT)).transpose(1, 2)
