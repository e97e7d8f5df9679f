"""Greedy CTC decoding: the text of per-frame scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def greedy_text(labels: Sequence[str], scores: NDArray[np.float32]) -> str:
    """The likeliest symbol of each frame, repeats merged and blanks dropped, joined to a text.

    labels: symbols, the blank first; a symbol that ends a word brings its own space.
    scores: (frames, labels).
    """
    best = scores.argmax(axis=1)
    is_new = np.diff(best, prepend=-1) != 0
    return "".join(labels[i] for i in best[is_new] if i).strip()
