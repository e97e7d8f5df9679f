"""CTC prefix beam search with a language model of words.

Source: Hannun et al. 2014, First-pass large vocabulary continuous speech recognition using
bi-directional recurrent DNNs, algorithm 1.  Letters: T frames, C symbols.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from earbit.heads.ngram import END, NGram, Words

MIN_PROBABILITY = 1e-5
"""Less likely symbols of a frame are not tried."""


@dataclass(eq=False, slots=True)
class _Prefix:
    """A node in the tree of all texts that were tried."""

    score: float
    """Score of the finished words."""
    context: Words
    """What the next word depends on."""
    spelt: str = ""
    """Start of the next word."""
    before: _Prefix | None = None
    symbol: int = 0
    longer: dict[int, _Prefix] = field(default_factory=dict)
    """Prefixes with one more symbol."""


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
        # Probabilities of all paths that end in a blank, and of all others.
        paths_of = {_Prefix(0.0, self.lm.start): [1.0, 0.0]}
        for p_C in np.exp(log_TC.astype(np.float64)):
            likely = [int(c) for c in np.flatnonzero(p_C[1:] >= MIN_PROBABILITY) + 1]
            reached = self._after_frame(paths_of, p_C.tolist(), likely, names)
            kept = sorted(reached, key=lambda p: -_log(sum(reached[p])) - p.score)[: self.n_beams]
            # Scaled, so that products of many frames stay above zero; ranks do not change.
            scale = max(sum(reached[prefix]) for prefix in kept) or 1.0
            paths_of = {prefix: [p / scale for p in reached[prefix]] for prefix in kept}
        best = max(paths_of, key=lambda prefix: _log(sum(paths_of[prefix])) + self._ended(prefix))
        return _symbols_of(best, names)

    def _after_frame(
        self,
        paths_of: dict[_Prefix, list[float]],
        p_C: Sequence[float],
        likely: Sequence[int],
        names: Sequence[str],
    ) -> dict[_Prefix, list[float]]:
        """Paths of all prefixes after one more frame."""
        reached: dict[_Prefix, list[float]] = {}
        for prefix, (blank, symbol) in paths_of.items():
            stay = reached.setdefault(prefix, [0.0, 0.0])
            stay[0] += (blank + symbol) * p_C[0]
            stay[1] += symbol * p_C[prefix.symbol]
            for c in likely:
                if (longer := prefix.longer.get(c)) is None:
                    longer = prefix.longer[c] = self._extended(prefix, c, names[c])
                # The same symbol again is a new one only after a blank.
                share = blank if c == prefix.symbol else blank + symbol
                reached.setdefault(longer, [0.0, 0.0])[1] += share * p_C[c]
        return reached

    def _extended(self, prefix: _Prefix, c: int, name: str) -> _Prefix:
        spelt = prefix.spelt + name
        if not name.endswith(" "):
            return _Prefix(prefix.score, prefix.context, spelt, prefix, c)
        score, context = self._with_word(prefix, spelt)
        return _Prefix(score, context, "", prefix, c)

    def _with_word(self, prefix: _Prefix, spelt: str) -> tuple[float, Words]:
        """Score and context of a prefix after a word."""
        if not (word := spelt.strip()):
            return prefix.score, prefix.context
        log_p = self.lm.log_probability(prefix.context, word)
        score = prefix.score + self.lm_weight * log_p + self.word_score
        return score, self.lm.after(prefix.context, word)

    def _ended(self, prefix: _Prefix) -> float:
        """Score of a text with its last word and its end."""
        score, context = self._with_word(prefix, prefix.spelt)
        return score + self.lm_weight * self.lm.log_probability(context, END)


def _symbols_of(prefix: _Prefix, names: Sequence[str]) -> tuple[str, ...]:
    found = []
    while prefix.before is not None:
        found.append(names[prefix.symbol])
        prefix = prefix.before
    return tuple(reversed(found))


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
