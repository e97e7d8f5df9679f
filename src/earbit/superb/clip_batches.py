"""Clips of frozen features as padded batches, and the order in which training sees them.

Letters: L hidden states, B batch, T frames, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def collate(
    features: Mapping[str, NDArray[np.float32]], ids: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Features (L, T_i, D) of clips -> (L, B, T, D) padded with zeros, and lengths int64 (B,)."""
    clips = [features[i] for i in ids]
    n_frames = [clip.shape[1] for clip in clips]
    n_states, _, width = clips[0].shape
    padded = np.zeros((n_states, len(clips), max(n_frames), width), np.float32)
    for row, clip in enumerate(clips):
        padded[:, row, : clip.shape[1]] = clip
    return torch.from_numpy(padded), torch.tensor(n_frames)


def endless_batches(
    n_examples: int, batch_size: int, weights: Tensor | None, generator: torch.Generator
) -> Iterator[list[int]]:
    """Indices of examples, `batch_size` at a time, for ever.

    Without weights every epoch is a permutation, and a batch may span two epochs.  With weights an
    epoch is `n_examples` draws with replacement.
    """
    waiting: list[int] = []
    while True:
        while len(waiting) < batch_size:
            waiting += _epoch(n_examples, weights, generator)
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]


def _epoch(n_examples: int, weights: Tensor | None, generator: torch.Generator) -> list[int]:
    if weights is None:
        order = torch.randperm(n_examples, generator=generator)
    else:
        order = torch.multinomial(weights, n_examples, replacement=True, generator=generator)
    indices: list[int] = order.tolist()
    return indices
