"""Greedy CTC decoding of scores that arrive row by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class GreedyStream:
    """Decodes as `greedy_text`: the texts of all rows, joined, are the text of the whole.

    labels: symbols, the blank first.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._last = 0
        self._has_begun = False
        self._spaces = ""
        """Spaces at the end, which are part of the text only if more follows."""

    def add(self, scores: NDArray[np.float32]) -> str:
        """The text that rows (n, labels) add, without spaces at the ends of the whole text."""
        if not len(scores):
            return ""
        best = scores.argmax(axis=1)
        is_new = np.diff(best, prepend=self._last) != 0
        self._last = int(best[-1])
        text = self._spaces + "".join(self._labels[i] for i in best[is_new] if i)
        if not self._has_begun:
            text = text.lstrip(" ")
        shown = text.rstrip(" ")
        self._has_begun = self._has_begun or bool(shown)
        self._spaces = text[len(shown) :]
        return shown
