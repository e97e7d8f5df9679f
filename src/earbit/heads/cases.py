"""What metrics compare, and 95 % intervals of a metric by bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.errors import DataError

Blocks = Sequence[NDArray[np.float64]]
"""Rows of a metric, (cases, columns) for each group of cases."""
N_RESAMPLES, MANY_ROWS = 1_000, 50_000
"""Samples of an interval; a tenth for more rows than that."""
SEED = 0
"""Of the samples: models on the same cases have the same ones, so their errors can be compared."""
N_KEPT = 200
"""Samples whose values are kept with a score; correlations of errors need no more."""
MIN_GROUPS = 5
"""Fewest groups to resample: an interval over fewer is far too narrow."""


@dataclass(frozen=True, slots=True)
class Cases:
    """Predictions with their references, and a group for each pair.

    Pairs of one group are not independent: clips of a speaker, documents of a query.  Raises
    DataError for lists of different lengths and for empty ones.
    """

    predictions: Sequence[Any]
    references: Sequence[Any]
    groups: Sequence[str]

    def __post_init__(self) -> None:
        n = len(self.references)
        if not n or len(self.predictions) != n or len(self.groups) != n:
            raise DataError(
                f"{len(self.predictions)} predictions for {n} references; a metric needs one "
                "prediction for each of at least one reference"
            )


def blocks_of(rows: NDArray[np.float64], groups: Sequence[str]) -> Blocks:
    """Splits rows (cases, columns) by group, in the order of the first case of each group."""
    index_of: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        index_of.setdefault(group, []).append(i)
    return [rows[indices] for indices in index_of.values()]


def resampled(blocks: Blocks, value: Any) -> NDArray[np.float64]:
    """Values of samples of whole groups with replacement, NaN where undefined.

    value: blocks -> number.  Equal numbers of groups have equal samples.  Empty for a single group.
    """
    if len(blocks) < 2:
        return np.empty(0)
    random = np.random.default_rng(SEED)
    is_large = sum(map(len, blocks)) > MANY_ROWS
    n_resamples = N_RESAMPLES // 10 if is_large else N_RESAMPLES
    draws = random.integers(len(blocks), size=(n_resamples, len(blocks)))
    return np.array([value([blocks[i] for i in draw]) for draw in draws])


def interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Percentile interval of 95 % from the values of samples.

    None if no two of them differ, which tells nothing of the error.
    """
    values = values[np.isfinite(values)]
    if not values.size or values.min() == values.max():
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def samples_text(values: NDArray[np.float64]) -> str:
    """The first values of samples as one line, so that scores.json stays readable."""
    return " ".join(f"{value:.5g}" for value in values[:N_KEPT])


def samples_in(text: str) -> NDArray[np.float64]:
    """The values in a line of `samples_text`.  Raises ValueError for other text."""
    return np.array([float(value) for value in text.split()])
