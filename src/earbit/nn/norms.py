"""Normalisation that does not see the padding of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.nn.lengths import length_mask


class ChannelNorm(torch.nn.Module):
    """Group norm with one channel per group: each channel over the real frames of its row.

    x (B, C, T), lengths (B,) -> (B, C, T).  The only norm in the front end of HuBERT Base
    (`GroupNorm(512, 512)`).  With plain zero padding its statistics, and so every
    later result, would depend on batch mates.
    """

    def __init__(self, n_channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(n_channels))
        self.bias = torch.nn.Parameter(torch.zeros(n_channels))
        self.eps = eps

    def forward(self, x_BCT: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is None:
            return F.group_norm(x_BCT, x_BCT.shape[1], self.weight, self.bias, self.eps)
        mask_B1T = length_mask(lengths, x_BCT.shape[-1])[:, None, :]
        n_B11 = lengths[:, None, None]
        mean = (x_BCT * mask_B1T).sum(-1, keepdim=True) / n_B11
        centred = (x_BCT - mean) * mask_B1T
        variance = centred.square().sum(-1, keepdim=True) / n_B11
        gain = self.weight[:, None] * torch.rsqrt(variance + self.eps)
        return centred * gain + self.bias[:, None]


class FrameNorm(torch.nn.LayerNorm):
    """Layer norm of each frame over its channels: x (B, C, T), any lengths -> (B, C, T)."""

    def forward(self, x_BCT: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(x_BCT.transpose(1, 2)).transpose(1, 2)


class FrameBatchNorm(torch.nn.BatchNorm1d):
    """Batch norm of channels over the real frames of all rows: x (B, C, T), lengths (B,).

    Padded frames neither count in training nor are they changed in meaning: they get whatever the
    affine map gives them, and nothing that follows looks at them.
    """

    def forward(self, x_BCT: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is None or not self.training:
            return super().forward(x_BCT)
        real_BT = length_mask(lengths, x_BCT.shape[-1])
        frames_NC = x_BCT.transpose(1, 2)[real_BT]
        y_BTC = x_BCT.new_zeros(x_BCT.transpose(1, 2).shape)
        y_BTC[real_BT] = super().forward(frames_NC).to(y_BTC.dtype)
        return y_BTC.transpose(1, 2)
