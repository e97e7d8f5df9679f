"""Score differences between each model and the first one, on the same test clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from earbit.heads.differences import ScoredMetric
from earbit.heads.metrics import METRICS
from earbit.leaderboard.rows import COLUMNS, MAIN_TITLES
from earbit.superb.report import in_percent, shown
from earbit.text_table import aligned


def add_differences(rows: Sequence[dict[str, Any]]) -> None:
    """Adds `differences` from the first row to all rows, by column.

    They are of the first metric of each task that both have.  Each has a value, an interval of 95 %
    or None, a verdict, and whether errors were paired; None where test clips differ.
    """
    for row in rows:
        row["differences"] = {
            title: _difference(row["tested"][title], rows[0]["tested"][title], title)
            for title in MAIN_TITLES
            if row is not rows[0] and title in row["tested"] and title in rows[0]["tested"]
        }


def _difference(tested: ScoredMetric, first: ScoredMetric, title: str) -> dict[str, Any] | None:
    found = tested.minus(first)
    if found is None:
        return None
    is_better = (found.value > 0) == METRICS[COLUMNS[title][1]].higher_is_better
    verdict = "better" if is_better else "worse"
    return {
        "value": found.value,
        "interval": None if found.low is None else [found.low, found.high],
        "verdict": verdict if found.excludes_zero else "not clear",
        "is_paired": tested.is_paired(first),
    }


def difference_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A table of the differences in rows, whose protocols are text; empty without any."""
    table = [
        (title, row["model"], row["protocol"], *_cells(title, of))
        for row in rows
        for title, of in row["differences"].items()
    ]
    if not table:
        return []
    header = ("", "model", "protocol", "difference", "95 % interval", "verdict")
    first = f"{rows[0]['model']} ({rows[0]['protocol'] or 'no protocol'})"
    return ["", f"Differences from {first}, on the same test clips:", *aligned([header, *table])]


def _cells(title: str, of: dict[str, Any] | None) -> tuple[str, str, str]:
    if of is None:
        return "", "", "other test clips"
    unit = " points" if in_percent(title) != title else ""
    ends = " to ".join(_signed(title, end) for end in of["interval"] or ())
    verdict = of["verdict"] if of["is_paired"] else f"{of['verdict']} (unpaired)"
    return f"{_signed(title, of['value'])}{unit}", ends, verdict if ends else "no interval"


def _signed(title: str, value: float) -> str:
    text = shown(title, value)
    is_zero = not text.strip("-0.")
    return text.strip("-") if is_zero else text if value < 0 else f"+{text}"
