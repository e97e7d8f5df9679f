"""Correlations of the errors of rows that were scored on the same clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from earbit.heads.differences import Samples, correlation, samples_of, tested_on

Record = dict[str, Any]
Row = tuple[str | None, str | None]
"""Encoder and plan."""
Seeds = dict[int | None, Samples]
"""Values of the samples by seed."""


def correlations_of(scores: Iterable[tuple[Record, Mapping[str, Any]]]) -> Iterator[Record]:
    """For each task, the correlation matrix of its rows over samples of the test clips.

    scores: a row (`encoder`, `plan`, `seed`, `task`) and its score.  Rows without samples, or with
    other test clips than the first row of the task, are left out.
    """
    by_task: dict[str, dict[Row, Seeds]] = {}
    tests: dict[str, tuple[Any, ...]] = {}
    for row, score in scores:
        values, test = samples_of(score), tested_on(score)
        if values.size and tests.setdefault(row["task"], test) == test:
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
    """Correlation of the errors of single trainings, over the samples of all common seeds."""
    if first is second:
        return 1.0
    return correlation((first[seed], second[seed]) for seed in first if seed in second)
