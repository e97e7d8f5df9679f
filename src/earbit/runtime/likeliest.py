"""The likeliest label of every slot of a head, and whether it is rejected."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earbit.errors import ConfigError
from earbit.runtime.program_file import Head

LEAST_ODDS = 1e-300


@dataclass(frozen=True, slots=True)
class Likeliest:
    """A label and how likely it is among the labels of its slot."""

    label: str
    log_odds: float
    """Against all other labels together: unlike the probability, it does not round to 1."""
    probability: float


def best_of(scores: NDArray[np.float32]) -> tuple[int, float, float]:
    """Index of the first of the largest scores, its log odds and its softmax probability.

    Sums in the order of the labels, as csrc/heads/decode.cc does, so that results are equal.
    """
    best = int(np.argmax(scores))
    values = scores.tolist()
    others = 0.0
    for i, value in enumerate(values):
        if i != best:
            others += math.exp(value - values[best])
    return best, -math.log(max(others, LEAST_ODDS)), 1 / (1 + others)


def likeliest(head: Head, scores: NDArray[np.float32]) -> list[Likeliest]:
    """The label with the largest score of every slot."""
    found, start = [], 0
    for size in head.slots:
        best, log_odds, probability = best_of(scores[start : start + size])
        found.append(Likeliest(head.labels[start + best], log_odds, probability))
        start += size
    return found


def is_rejected(head: Head, found: Likeliest, threshold: float | None) -> bool:
    """Whether a label is less likely than a threshold.

    threshold: a probability; None is that of the program, which may have none.
    """
    least = head.min_log_odds if threshold is None else log_odds_of(threshold)
    return least is not None and not found.log_odds >= least


def check_threshold(head: Head | None, threshold: float | None) -> None:
    """Raises ConfigError for a threshold that is no probability, and for a head that takes none."""
    if threshold is None:
        return
    if not 0 <= threshold < 1:
        raise ConfigError(f"threshold={threshold!r}; allowed are probabilities from 0 to below 1")
    if head is None or head.kind != "class" or len(head.slots) > 1:
        raise ConfigError(
            f"threshold={threshold!r}: the program has no head of kind 'class' with one slot, "
            "which alone rejects labels; leave it out"
        )


def log_odds_of(probability: float) -> float:
    """Log odds of a probability from 0 to below 1."""
    return math.log(probability / (1 - probability)) if probability > 0 else -math.inf


def probability_of(log_odds: float) -> float:
    """The probability of log odds; rounds to 1 from about 37 on."""
    return 1 / (1 + math.exp(-log_odds))
