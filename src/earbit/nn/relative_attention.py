"""Self-attention with relative positions (Transformer-XL, arXiv 1901.02860), as in the Conformer.

Letters: B batch, T frames, D width, H heads, K head width, R = 2T - 1 relative positions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.nn.attention import SelfAttention
from earbit.nn.leaves import Linear, MatMul


class RelativeAttention(SelfAttention):
    """Full attention whose scores also see how far apart two frames are: (B, T, D) -> (B, T, D).

    `score(i, j) = [(q_i + u) k_j + (q_i + v) W r_(i-j)] / sqrt(K)`, u and v learned per head.
    """

    def __init__(self, d_model: int, n_heads: int, dropout: float) -> None:
        super().__init__(d_model, n_heads, dropout)
        self.position_proj = Linear(d_model, d_model, bias=False)
        self.position_scores = MatMul()
        self.content_bias = torch.nn.Parameter(torch.zeros(n_heads, d_model // n_heads))
        self.position_bias = torch.nn.Parameter(torch.zeros(n_heads, d_model // n_heads))

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> Tensor:
        n_frames = x_BTD.shape[1]
        q_BHTK = self._split_heads(self.q_proj(x_BTD))
        k_BHTK = self._split_heads(self.k_proj(x_BTD))
        v_BHTK = self._split_heads(self.v_proj(x_BTD))
        table_RD = relative_positions(n_frames, x_BTD.shape[2], x_BTD.device, x_BTD.dtype)
        r_1HRK = self._split_heads(self.position_proj(table_RD[None]))
        with_content = (q_BHTK + self.content_bias[:, None]) * self.q_scale
        with_position = (q_BHTK + self.position_bias[:, None]) * self.q_scale
        by_position = self.position_scores(with_position, r_1HRK.transpose(-1, -2))
        context_BHTK = self._attend_to_all(
            with_content, k_BHTK, v_BHTK, lengths, bias_BHTS=relative_shift(by_position)
        )
        y_BTD: Tensor = self.out_proj(context_BHTK.transpose(1, 2).flatten(2))
        return y_BTD


def relative_positions(
    n_frames: int, d_model: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Sinusoids of the distances T - 1, ..., 0, ..., -(T - 1): (2T - 1, D), base 10000.

    Sines at even dimensions, cosines at odd ones.
    """
    distance_R1 = torch.arange(n_frames - 1, -n_frames, -1, device=device)[:, None].float()
    step = torch.arange(0, d_model, 2, device=device).float()
    angle = distance_R1 * torch.exp(step * (-math.log(10_000.0) / d_model))
    table = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)
    return table[:, :d_model].to(dtype)


def relative_shift(x_BHTR: Tensor) -> Tensor:
    """Row i, column r is distance T - 1 - r; becomes row i, column j = i - distance: (B, H, T, T).

    A row more of padding on the left moves every row one place further to the left than the last.
    """
    n_batch, n_heads, n_frames, n_distances = x_BHTR.shape
    padded = F.pad(x_BHTR, (1, 0)).reshape(n_batch, n_heads, n_distances + 1, n_frames)
    shifted = padded[:, :, 1:].reshape(n_batch, n_heads, n_frames, n_distances)
    return shifted[..., :n_frames]
