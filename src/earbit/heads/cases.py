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


def interval(blocks: Blocks, value: Any, seed: int) -> tuple[float, float] | None:
    """Percentile interval of 95 % from samples of whole groups with replacement.

    value: blocks -> number.  None for a single group, and if no two samples have different values,
    which tells nothing of the error.
    """
    if len(blocks) < 2:
        return None
    random = np.random.default_rng(seed)
    is_large = sum(map(len, blocks)) > MANY_ROWS
    n_resamples = N_RESAMPLES // 10 if is_large else N_RESAMPLES
    draws = random.integers(len(blocks), size=(n_resamples, len(blocks)))
    values = np.array([value([blocks[i] for i in draw]) for draw in draws])
    values = values[np.isfinite(values)]
    if not values.size or values.min() == values.max():
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
