"""Normalisation layers that ignore the padding of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.nn.lengths import length_mask


def at_least_float32(x: Tensor) -> Tensor:
    """Converts to float32 unless x is double; half precision cannot hold sums over time."""
    return x if x.dtype == torch.double else x.float()


def centred_over_time(x: Tensor, real: Tensor, n_real: Tensor) -> tuple[Tensor, Tensor]:
    """Centred values (..., T), zero at padded frames, and their variance (..., 1).

    real: mask of real frames.  n_real: their number.  Both are broadcastable to x.
    """
    mean = (x * real).sum(-1, keepdim=True) / n_real
    centred = (x - mean) * real
    return centred, centred.square().sum(-1, keepdim=True) / n_real


class ChannelNorm(torch.nn.Module):
    """Group norm with one channel per group: each channel over the real frames of its row.

    x (B, C, T), lengths (B,) -> (B, C, T).  The only norm in the front end of HuBERT Base
    (`GroupNorm(512, 512)`).  Statistics over zero padding would make every result depend on the
    other rows of the batch.
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
        wide_BCT, n_B11 = at_least_float32(x_BCT), lengths[:, None, None]
        centred, variance = centred_over_time(wide_BCT, mask_B1T, n_B11)
        gain = self.weight[:, None] * torch.rsqrt(variance + self.eps)
        return (centred * gain + self.bias[:, None]).to(x_BCT.dtype)


class FrameNorm(torch.nn.LayerNorm):
    """Layer norm of each frame over its channels: (B, C, T) -> (B, C, T); ignores lengths."""

    def forward(self, x_BCT: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(x_BCT.transpose(1, 2)).transpose(1, 2)


class FrameBatchNorm(torch.nn.BatchNorm1d):
    """Batch norm of channels over the real frames of all rows: x (B, C, T), lengths (B,) -> same.

    Padded frames do not count in training.  Their outputs are undefined and must not be read.  A
    single frame has no variance and is normalised by the running statistics.
    """

    def forward(self, x_BCT: Tensor, lengths: Tensor | None = None) -> Tensor:
        if not self.training or (lengths is None and x_BCT.shape[0] * x_BCT.shape[2] > 1):
            return super().forward(x_BCT)
        real_B1T = (
            torch.ones_like(x_BCT[:, :1])
            if lengths is None
            else length_mask(lengths, x_BCT.shape[-1])[:, None, :]
        )
        wide_BCT, n_frames = at_least_float32(x_BCT), real_B1T.sum()
        mean_C = (wide_BCT * real_B1T).sum((0, 2)) / n_frames
        squares_C = ((wide_BCT - mean_C[:, None]) * real_B1T).square().sum((0, 2))
        running_mean, running_var = self._follow(mean_C.detach(), squares_C.detach(), n_frames)
        is_lone = n_frames < 2
        mean_C = torch.where(is_lone, running_mean, mean_C)
        variance_C = torch.where(is_lone, running_var, squares_C / n_frames)
        gain_C = self.weight * torch.rsqrt(variance_C + self.eps)
        y_BCT = (wide_BCT - mean_C[:, None]) * gain_C[:, None] + self.bias[:, None]
        return y_BCT.to(x_BCT.dtype)

    @torch.no_grad()
    def _follow(self, mean_C: Tensor, squares_C: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Updates the running statistics, unless the batch is a single frame, and returns them."""
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        step = self.momentum * (n_frames > 1)
        self.running_mean.lerp_(mean_C.to(self.running_mean.dtype), step)
        variance_C = squares_C / (n_frames - 1).clamp_min(1)
        self.running_var.lerp_(variance_C.to(self.running_var.dtype), step)
        self.num_batches_tracked += 1
        return self.running_mean, self.running_var
