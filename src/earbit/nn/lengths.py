"""Masks of real and padded frames.

Every module that mixes frames takes `lengths`, so padding never changes a result.
`None` means that no row is padded and is cheaper than a full-length tensor.
"""

from __future__ import annotations

import torch
from torch import Tensor


def length_mask(lengths: Tensor, n_frames: int) -> Tensor:
    """Mask of real frames: lengths (B,) -> bool (B, n_frames)."""
    return torch.arange(n_frames, device=lengths.device) < lengths[:, None]


def zero_padding(x_BCT: Tensor, lengths: Tensor | None) -> Tensor:
    """Sets the padded frames of (B, C, T) to zero."""
    if lengths is None:
        return x_BCT
    return x_BCT * length_mask(lengths, x_BCT.shape[-1])[:, None, :]
