"""Differences of scores on the same test clips.

A clip that is hard for one model is hard for another, so a difference of two scores is known better
than each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
OF_TEST = ("task", "metric", "corpus_digest", "n_test", "interval_over")
"""Fields that scores on the same samples of the same clips have in common."""


def samples_of(score: Score) -> Samples:
    """The samples of a score; empty for a score without any."""
    return samples_in(score.get("resampled") or "")


def tested_on(score: Score) -> tuple[Any, ...]:
    """The test of a score: equal for scores on the same samples of the same clips."""
    return (*map(score.get, OF_TEST), len(samples_of(score)))


def correlation(pairs: Iterable[tuple[Samples, Samples]]) -> float:
    """Correlation of the errors of two scores, over the samples of all pairs.

    0 if few samples have a value, or none differ.
    """
    both = [np.stack(pair) for pair in pairs]
    known = [pair[:, np.isfinite(pair).all(axis=0)] for pair in both]
    errors = [pair - pair.mean(axis=1, keepdims=True) for pair in known if pair.size]
    if sum(pair.shape[1] for pair in errors) < MIN_SAMPLES:
        return 0.0
    pooled = np.concatenate(errors, axis=1)
    if not np.ptp(pooled, axis=1).all():
        return 0.0
    return round(float(np.corrcoef(pooled)[0, 1]), 3)


def difference(score: Score, other: Score) -> Estimate | None:
    """The value of a score minus that of another one; None unless they have the same test.

    Without samples, errors count as independent.
    """
    if tested_on(score) != tested_on(other):
        return None
    metric = score["metric"]
    first, second = (
        Estimate(s["metrics"][metric], *(s.get("intervals", {}).get(metric) or ()))
        for s in (score, other)
    )
    r = correlation([(samples_of(score), samples_of(other))])
    return combined([(1.0, first), (-1.0, second)], lambda i, j: r)
