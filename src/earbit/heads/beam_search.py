"""CTC prefix beam search with a language model of words.

Source: Hannun et al. 2014, First-pass large vocabulary continuous speech recognition using
bi-directional recurrent DNNs, algorithm 1.  Letters: T frames, C symbols.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from earbit.heads.ngram import END, NGram, Words

MIN_PROBABILITY = 1e-5
"""Less likely symbols of a frame are not tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BeamSearch:
    """Finds the text of the largest score.

    The score is the logarithm of the CTC probability of all paths of the text, plus `lm_weight`
    times that of its probability under the language model, plus `word_score` for each word.  A
    symbol that ends in a space ends a word; unfinished words have no score before the last frame.
    """

    lm: NGram
    n_beams: int
    lm_weight: float
    word_score: float

    def symbols(self, log_TC: NDArray[np.float32], names: Sequence[str]) -> tuple[str, ...]:
        """Symbols of the best text; log_TC: logarithms of probabilities, the blank first."""
        prefixes: dict[tuple[int, ...], _Paths] = {(): _Paths(1.0, 0.0)}
        texts = {(): _Text(0.0, self.lm.start, "")}
        for p_C in np.exp(log_TC.astype(np.float64)):
            likely = [int(c) for c in np.flatnonzero(p_C[1:] >= MIN_PROBABILITY) + 1]
            reached = _after_frame(prefixes, p_C.tolist(), likely)
            for prefix in reached:
                if prefix not in texts:
                    texts[prefix] = self._extended(texts[prefix[:-1]], names[prefix[-1]])
            best = sorted(reached, key=lambda p: -_log(sum(reached[p])) - texts[p].score)
            kept = best[: self.n_beams]
            # Scaled, so that products of many frames stay above zero; ranks do not change.
            scale = max(sum(reached[p]) for p in kept) or 1.0
            prefixes = {p: _Paths(*(x / scale for x in reached[p])) for p in kept}
            texts = {p: texts[p] for p in kept}
        ends = {p: _log(sum(paths)) + self._end(texts[p]) for p, paths in prefixes.items()}
        return tuple(names[c] for c in max(ends, key=ends.__getitem__))

    def _extended(self, text: _Text, symbol: str) -> _Text:
        spelt = text.spelt + symbol
        return self._with_word(text, spelt.strip()) if symbol.endswith(" ") else text.with_(spelt)

    def _with_word(self, text: _Text, word: str) -> _Text:
        if not word:
            return text.with_("")
        gain = self.lm_weight * self.lm.log_probability(text.context, word) + self.word_score
        return _Text(text.score + gain, self.lm.after(text.context, word), "")

    def _end(self, text: _Text) -> float:
        """Score of a text with its last word and its end."""
        whole = self._with_word(text, text.spelt.strip())
        return whole.score + self.lm_weight * self.lm.log_probability(whole.context, END)


class _Paths(NamedTuple):
    """Probability of all paths of a prefix, by whether they end in a blank."""

    blank: float
    symbol: float


class _Text(NamedTuple):
    """Score of the finished words of a prefix, what the next word depends on, and its start."""

    score: float
    context: Words
    spelt: str

    def with_(self, spelt: str) -> _Text:
        return self._replace(spelt=spelt)


def _after_frame(
    prefixes: Mapping[tuple[int, ...], _Paths], p_C: Sequence[float], likely: Sequence[int]
) -> dict[tuple[int, ...], list[float]]:
    """Paths of all prefixes after one more frame."""
    reached: dict[tuple[int, ...], list[float]] = {}
    for prefix, paths in prefixes.items():
        total = paths.blank + paths.symbol
        last = prefix[-1] if prefix else 0
        stay = reached.setdefault(prefix, [0.0, 0.0])
        stay[0] += total * p_C[0]
        stay[1] += paths.symbol * p_C[last]
        for c in likely:
            # The same symbol again is a new one only after a blank.
            longer = reached.setdefault((*prefix, c), [0.0, 0.0])
            longer[1] += (paths.blank if c == last else total) * p_C[c]
    return reached


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
