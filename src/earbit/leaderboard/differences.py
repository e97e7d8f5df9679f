"""Differences of the scores of models from those of the first one, on the same test clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from earbit.heads.differences import difference
from earbit.leaderboard.rows import COLUMNS
from earbit.superb.report import in_percent, shown
from earbit.text_table import aligned


def add_differences(rows: Sequence[dict[str, Any]]) -> None:
    """Adds `differences` to all rows but the first, by column, for the first metric of each task.

    Each has a value, an interval of 95 % or None, and a verdict: better, worse or not clear.
    """
    first, *others = rows
    title_of = {of: title for title, of in COLUMNS.items()}
    for row in others:
        row["differences"] = {}
        for task, score in row["scores"].items():
            found = difference(score, first["scores"].get(task, {}))
            title = title_of.get((task, score["metric"]))
            if found is None or title is None:
                continue
            is_better = (found.value > 0) == score["higher_is_better"]
            verdict = ("better" if is_better else "worse") if found.excludes_zero else "not clear"
            row["differences"][title] = {
                "value": found.value,
                "interval": None if found.low is None else [found.low, found.high],
                "verdict": verdict,
            }


def difference_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A table of the differences in rows; empty without any."""
    first, *others = rows
    table = [
        (
            in_percent(title),
            row["model"],
            shown(title, of["value"]),
            " to ".join(shown(title, end) for end in of["interval"] or ()),
            of["verdict"],
        )
        for row in others
        for title, of in row["differences"].items()
    ]
    if not table:
        return []
    header = ("difference", "model", "value", "95 % interval", "")
    title = f"Differences from {first['model']}, on the same test clips:"
    return ["", title, *aligned([header, *table])]
