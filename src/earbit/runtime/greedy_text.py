"""Greedy CTC decoding of per-frame scores to text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def greedy_text(labels: Sequence[str], scores: NDArray[np.float32]) -> str:
    """Joins the likeliest symbols of all frames after merging repeats and dropping blanks.

    labels: symbols, the blank first; symbols that end a word include the space.
    scores: (frames, labels).
    """
    return "".join(labels[i] for i in greedy_indices(scores)).strip(" ")


def greedy_indices(scores: NDArray[np.float32]) -> list[int]:
    """Likeliest symbol of each frame, with repeats merged and blanks (0) removed.

    scores: (frames, labels).  Source: Graves et al. 2006, best path decoding.
    """
    best = scores.argmax(axis=1)
    is_new = np.diff(best, prepend=-1) != 0
    return [int(i) for i in best[is_new] if i]
