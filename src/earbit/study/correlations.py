"""Correlations of the errors of rows that were scored on the same clips.

A clip that is hard for one model is hard for another, so a difference of two scores is known better
than each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.heads.cases import samples_in

Record = dict[str, Any]
Row = tuple[str | None, str | None]
"""Encoder and plan."""
Seeds = dict[int | None, NDArray[np.float64]]
"""Values of the samples by seed."""
MIN_SAMPLES = 100
"""Fewest samples with a value for both rows."""


def correlations_of(scores: Iterable[tuple[Record, Mapping[str, Any]]]) -> Iterator[Record]:
    """For each task, the correlation matrix of its rows over samples of the test clips.

    scores: a row (`encoder`, `plan`, `seed`, `task`) and its score.  Rows without samples, or with
    other test clips than the first row of the task, are left out.
    """
    by_task: dict[str, dict[Row, Seeds]] = {}
    clips: dict[str, tuple[Any, ...]] = {}
    for row, score in scores:
        values = samples_in(score.get("resampled") or "")
        names = ("n_test", "interval_over", "corpus_digest")
        of_test = (*map(score.get, names), len(values))
        if values.size and clips.setdefault(row["task"], of_test) == of_test:
            of_task = by_task.setdefault(row["task"], {})
            of_task.setdefault((row["encoder"], row["plan"]), {})[row["seed"]] = values
    for task, rows in by_task.items():
        if len(rows) > 1:
            yield {
                "task": task,
                "rows": [{"encoder": encoder, "plan": plan} for encoder, plan in rows],
                "values": [[_correlation(a, b) for b in rows.values()] for a in rows.values()],
            }


def _correlation(first: Seeds, second: Seeds) -> float:
    """Correlation of the errors of single trainings, over the samples of all common seeds.

    0 if few samples have a value, or none differ.
    """
    if first is second:
        return 1.0
    both = [np.stack([first[seed], second[seed]]) for seed in first if seed in second]
    known = [pair[:, np.isfinite(pair).all(axis=0)] for pair in both]
    errors = [pair - pair.mean(axis=1, keepdims=True) for pair in known if pair.size]
    if sum(pair.shape[1] for pair in errors) < MIN_SAMPLES:
        return 0.0
    pooled = np.concatenate(errors, axis=1)
    if not np.ptp(pooled, axis=1).all():
        return 0.0
    return round(float(np.corrcoef(pooled)[0, 1]), 3)
