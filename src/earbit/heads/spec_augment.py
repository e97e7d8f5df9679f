"""SpecAugment: random masks and time warps of features in training (Park et al. 2019).

Letters: B batch, T frames, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

WARP_WINDOW = 5
N_TIME_MASKS, TIME_MASK_FRAMES = 2, 40
N_FEATURE_MASKS, FEATURE_MASK_WIDTH = 4, 50
"""Numbers of masks, and the smallest width that is never drawn (s3prl)."""


def spec_augment(x_BTD: Tensor, lengths: Tensor) -> Tensor:
    """Warps the time of each clip and sets random spans of frames and of features to zero.

    Draws from PyTorch's global generator.
    """
    rows = []
    for x_TD, length in zip(x_BTD, lengths.tolist(), strict=True):
        real = _warped(x_TD[:length])
        keep_T = _kept(length, N_TIME_MASKS, TIME_MASK_FRAMES, x_BTD.device)
        keep_D = _kept(real.shape[1], N_FEATURE_MASKS, FEATURE_MASK_WIDTH, x_BTD.device)
        masked = real * keep_T[:, None] * keep_D
        rows.append(F.pad(masked, (0, 0, 0, x_BTD.shape[1] - length)))
    return torch.stack(rows)


def _kept(size: int, n_masks: int, end_width: int, device: torch.device) -> Tensor:
    """1 where a position is kept, 0 inside of a mask: float32 (size,)."""
    keep = torch.ones(size, device=device)
    for _ in range(n_masks):
        width = int(torch.randint(min(end_width, size), ()))
        start = int(torch.randint(size - width + 1, ()))
        keep[start : start + width] = 0
    return keep


def _warped(x_TD: Tensor) -> Tensor:
    """Moves a random frame by up to the window and stretches both sides; the length is kept."""
    n = len(x_TD)
    if n <= 2 * WARP_WINDOW:
        return x_TD
    centre = int(torch.randint(WARP_WINDOW, n - WARP_WINDOW, ()))
    moved = centre + int(torch.randint(-WARP_WINDOW + 1, WARP_WINDOW, ()))
    if moved == centre:
        return x_TD
    image = x_TD[None, None]
    sides = [
        F.interpolate(part, size=(size, x_TD.shape[1]), mode="bicubic", align_corners=False)
        for part, size in ((image[:, :, :centre], moved), (image[:, :, centre:], n - moved))
    ]
    return torch.cat(sides, dim=2)[0, 0]
