"""Tables of results.json as CSV, which the page offers beside the JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earbit.study.report.claims import claims_of
from earbit.study.report.rows import Study
from earbit.text_table import as_csv

_SCORES = ("encoder", "plan", "seed", "task", "metric", "higher_is_better", "value", "interval")
_TIMES = ("encoder", "plan", "engine", "precision", "seconds", "threads", "median_ms", "p10_ms")
TABLES: dict[str, tuple[str, ...]] = {
    "scores": (*_SCORES, "interval_over", "n_test", "chance", "packed_value", "protocol"),
    "cost": ("encoder", "plan", "parameters", "storage_bytes", "macs", "flops", "bops"),
    "times": (*_TIMES, "p90_ms", "rtf", "peak_rss_bytes"),
    "export": ("encoder", "plan", "seed", "bytes"),
    "training": ("encoder", "plan", "seed", "iteration", "n_steps", "valid_accuracy"),
    "steps": ("id", "stage", "encoder", "plan", "seed", "task", "state", "wall_s", "error"),
}
"""Columns of every table."""


def csv_files(study: Study) -> dict[str, str]:
    """CSV texts by file name, of tables that have records, and of the claims."""
    files = {
        f"{name}.csv": as_csv([_heading(columns), *(_line(r, columns) for r in records)])
        for name, columns in TABLES.items()
        if (records := study.table(name))
    }
    claims = [[claim.title, claim.word, " ".join(claim.evidence)] for claim in claims_of(study)]
    return files | {"claims.csv": as_csv([["claim", "verdict", "evidence"], *claims])}


def _heading(columns: Sequence[str]) -> list[str]:
    names = [("low", "high") if column == "interval" else (column,) for column in columns]
    return [name for group in names for name in group]


def _line(record: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    cells: list[Any] = []
    for column in columns:
        value = record.get(column)
        if column == "interval":
            cells += value if isinstance(value, list) and len(value) == 2 else ["", ""]
        else:
            cells.append(value)
    return ["" if cell is None else str(cell) for cell in cells]
