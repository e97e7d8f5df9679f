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


def correlations_of(scores: Iterable[tuple[Record, Mapping[str, Any]]]) -> Iterator[Record]:
    """For each task, the correlation matrix of its rows over samples of the test clips.

    scores: a row (`encoder`, `plan`, `task`) and its score.  Values are means over seeds, as all
    seeds share the test clips.  Rows without samples, or with other test clips than the first row
    of the task, are left out.
    """
    by_task: dict[str, dict[Row, list[NDArray[np.float64]]]] = {}
    clips: dict[str, tuple[Any, ...]] = {}
    for row, score in scores:
        values = samples_in(score.get("resampled") or "")
        of_test = (score.get("n_test"), score["interval_over"], len(values))
        if values.size and clips.setdefault(row["task"], of_test) == of_test:
            of_task = by_task.setdefault(row["task"], {})
            of_task.setdefault((row["encoder"], row["plan"]), []).append(values)
    for task, rows in by_task.items():
        means = np.stack([np.mean(values, axis=0) for values in rows.values()])
        means = means[:, np.isfinite(means).all(axis=0)]
        varies = means.std(axis=1) > 0 if means.size else np.zeros(len(rows), bool)
        if varies.sum() > 1:
            yield {
                "task": task,
                "rows": [
                    {"encoder": encoder, "plan": plan}
                    for (encoder, plan), is_used in zip(rows, varies, strict=True)
                    if is_used
                ],
                "values": np.corrcoef(means[varies]).round(3).tolist(),
            }
