"""The likeliest label of every slot of a head, and whether it is rejected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earbit.errors import ConfigError
from earbit.runtime.arguments import is_number
from earbit.runtime.program_file import Head

LEAST_ODDS = 1e-300
NEAR = 1e-3
"""Probabilities that are nearer to 0 or 1 are shown as their distance from it."""
NONE = "_none_"
"""The last label of a slot, if it has this name, is no result: its score is that of no keyword."""


@dataclass(frozen=True, slots=True)
class Likeliest:
    """A label and how likely it is among the labels of its slot."""

    label: str
    log_odds: float
    """Against all other labels together: unlike the probability, it does not round to 1."""
    probability: float


def best_of(scores: NDArray[np.float32], n_results: int) -> tuple[int, float, float]:
    """Index of the first of the largest of `n_results` scores, its log odds and probability.

    Later scores count against it.  Sums in the order of the labels, as csrc/heads/decode.cc does,
    so that results are equal.
    """
    best = int(np.argmax(scores[:n_results]))
    values = scores.tolist()
    largest = float(scores.max())
    own, others = values[best] - largest, 0.0
    for i, value in enumerate(values):
        if i != best:
            others += math.exp(value - largest)
    log_odds = own - math.log(max(others, LEAST_ODDS))
    return best, log_odds, math.exp(own) / (math.exp(own) + others)


def n_results(labels: Sequence[str]) -> int:
    """Number of labels of a slot that can be a result."""
    return len(labels) - (len(labels) > 1 and labels[-1] == NONE)


def likeliest(head: Head, scores: NDArray[np.float32]) -> list[Likeliest]:
    """The label with the largest score of every slot."""
    found, start = [], 0
    for size in head.slots:
        labels = head.labels[start : start + size]
        best, *odds = best_of(scores[start : start + size], n_results(labels))
        found.append(Likeliest(labels[best], *odds))
        start += size
    return found


def min_log_odds(head: Head, threshold: float | None) -> float | None:
    """Log odds below which a label is rejected, or None.  threshold: as of `is_rejected`."""
    return head.min_log_odds if threshold is None else log_odds_of(threshold)


def is_rejected(head: Head, found: Likeliest, threshold: float | None) -> bool:
    """Whether a label is less likely than a threshold.

    threshold: a probability, 0 rejects none; None is that of the program, which may have none.
    Log odds of scores that are not finite may be NaN, which every other threshold rejects.
    """
    least = min_log_odds(head, threshold)
    return least is not None and not found.log_odds >= least


def check_threshold(head: Head | None, threshold: float | None) -> None:
    """Raises ConfigError for a threshold that is no probability, and for a head that takes none."""
    if threshold is None:
        return
    if not is_number(threshold) or not 0 <= threshold < 1:
        raise ConfigError(f"threshold={threshold!r}; allowed are probabilities from 0 to below 1")
    if head is None or head.kind != "class" or len(head.slots) > 1:
        raise ConfigError(
            f"threshold={threshold!r}: the program has no head of kind 'class' with one slot, "
            "which alone rejects labels; leave it out"
        )


def log_odds_of(probability: float) -> float | None:
    """Log odds of a probability from 0 to below 1; None for 0."""
    return math.log(probability / (1 - probability)) if probability > 0 else None


def shown_probability(log_odds: float) -> str:
    """A probability as text: 4 digits, and its distance from 0 or 1 where they would hide it."""
    if math.isnan(log_odds):
        return "nan"
    probability, others = probability_of(log_odds), probability_of(-log_odds)
    if probability < NEAR:
        return f"{probability:.2g}"
    return f"1-{others:.2g}" if others < NEAR else f"{probability:.4f}"


def probability_of(log_odds: float) -> float:
    """The probability of log odds; rounds to 1 from about 37 on, and to 0 below -709."""
    return 1 / (1 + math.exp(-log_odds)) if log_odds > -709 else 0.0
