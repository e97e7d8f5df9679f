"""Differences of scores on the same test clips.

A clip that is hard for one model is hard for another, so a difference of two scores is known better
than each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.heads.cases import samples_in
from earbit.heads.estimates import Estimate, combined

Score = Mapping[str, Any]
"""Content of scores.json."""
Samples = NDArray[np.float64]
"""Values of a score on samples of its test clips."""
MIN_SAMPLES = 100
"""Fewest samples with a value for both scores."""
OF_TEST = ("task", "metric", "corpus_digest", "n_test", "interval_over", "test_groups")
"""Fields that scores of the same test clips have in common."""


def samples_of(score: Score) -> Samples:
    """The samples of a score; empty for a score without any."""
    return samples_in(score.get("resampled") or "")


def tested_on(score: Score) -> tuple[Any, ...]:
    """The test of a score: equal for scores whose samples are of the same clips."""
    return tuple(map(score.get, OF_TEST))


def correlation(pairs: Iterable[tuple[Samples, Samples]]) -> float:
    """Correlation of the errors of two scores, over the samples of all pairs.

    0 if few samples have a value, or none differ.
    """
    both = [np.stack(pair) for pair in pairs if len(pair[0]) == len(pair[1])]
    known = [pair[:, np.isfinite(pair).all(axis=0)] for pair in both]
    errors = [pair - pair.mean(axis=1, keepdims=True) for pair in known if pair.size]
    if sum(pair.shape[1] for pair in errors) < MIN_SAMPLES:
        return 0.0
    pooled = np.concatenate(errors, axis=1)
    if not np.ptp(pooled, axis=1).all():
        return 0.0
    return round(float(np.corrcoef(pooled)[0, 1]), 3)


@dataclass(frozen=True, slots=True)
class ScoredMetric:
    """A metric of a score, with what its difference from others needs."""

    estimate: Estimate
    samples: Samples
    test: tuple[Any, ...]

    @classmethod
    def of(cls, score: Score, metric: str) -> ScoredMetric:
        """Reads a score; raises KeyError, TypeError or ValueError for a damaged one."""
        value, ends = float(score["metrics"][metric]), score.get("intervals", {}).get(metric)
        low, high = map(float, ends) if ends else (None, None)
        estimate = Estimate(value, low, high)
        return cls(estimate, samples_of(score), tested_on(score))

    def is_paired(self, other: ScoredMetric) -> bool:
        """Whether both have samples, so that the correlation of their errors is known."""
        return min(self.samples.size, other.samples.size) >= MIN_SAMPLES

    def minus(self, other: ScoredMetric) -> Estimate | None:
        """The difference; None unless both have the same test.

        Errors count as independent where they are not paired.
        """
        if self.test != other.test:
            return None
        r = correlation([(self.samples, other.samples)])
        return combined([(1.0, self.estimate), (-1.0, other.estimate)], lambda i, j: r)
