"""Batches of training: which clips, which part of each, and their features as one tensor.

Letters: L hidden states, B batch, T frames, D width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earbit.upstream.feature_store import frames_in


def collate(
    features: Mapping[str, NDArray[np.float32]],
    ids: Sequence[str],
    starts: Sequence[int] | None = None,
    max_frames: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Pads features (L, T_i, D) of clips to (L, B, T, D) with zeros; lengths are int64 (B,).

    starts: first frame of each clip, 0 by default; at most `max_frames` are taken from there.
    """
    starts = starts or [0] * len(ids)
    spare = [frames_in(features, i) - start for i, start in zip(ids, starts, strict=True)]
    n_frames = spare if max_frames is None else [min(n, max_frames) for n in spare]
    padded = np.empty(0, np.float32)
    # One clip at a time: features of a batch may take gigabytes.
    for row, (clip_id, start, n) in enumerate(zip(ids, starts, n_frames, strict=True)):
        clip = features[clip_id]
        if not row:
            padded = np.zeros((len(clip), len(ids), max(n_frames), clip.shape[2]), np.float32)
        padded[:, row, :n] = clip[:, start : start + n]
        del clip  # before the next one is read
    return torch.from_numpy(padded), torch.tensor(n_frames)


def crop_starts(
    clips: Mapping[str, NDArray[np.float32]],
    ids: Sequence[str],
    max_frames: int | None,
    random: np.random.Generator,
) -> list[int]:
    """Random first frames of crops; 0 for clips that are not longer."""
    if max_frames is None:
        return [0] * len(ids)
    spare = [max(0, frames_in(clips, i) - max_frames) for i in ids]
    return [int(random.integers(n + 1)) for n in spare]


def cropped(encoded: Sequence[Tensor], starts: Sequence[int], lengths: Tensor) -> list[Tensor]:
    """The crops of targets per frame (T, C); other targets belong to the whole clip."""
    return [
        target[start : start + n] if target.dim() == 2 else target
        for target, start, n in zip(encoded, starts, lengths.tolist(), strict=True)
    ]


def endless_batches(
    targets: Sequence[Hashable], batch_size: int, *, is_balanced: bool, seed: int
) -> Iterator[list[int]]:
    """Endless batches of indices of training clips; a batch may span two epochs.

    An epoch is a permutation.  With balanced targets it is as many draws with replacement, which
    draw every target with equal probability.
    """
    counts = Counter(targets)
    weights = torch.tensor([1 / counts[target] for target in targets])
    generator = torch.Generator().manual_seed(seed)
    waiting: list[int] = []
    while True:
        while len(waiting) < batch_size:
            if is_balanced:
                epoch = torch.multinomial(weights, len(targets), True, generator=generator)
            else:
                epoch = torch.randperm(len(targets), generator=generator)
            waiting += epoch.tolist()
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]
