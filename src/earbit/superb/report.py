"""Tables of scores: of one run, and of several models beside published scores."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit.errors import ConfigError, FormatError
from earbit.files import make_folder, write_text
from earbit.superb.anchors import PUBLISHED
from earbit.superb.metrics import METRICS
from earbit.superb.tasks import TASKS
from earbit.text_table import aligned

SCORES_NAME = "scores.json"
PERCENT = frozenset(METRICS) - {"mtwv"}
"""Metrics that are printed in percent."""
COLUMNS = {
    (f"{task.name} {metric}" if metric == "accuracy" else metric): (task.name, metric)
    for task in TASKS.values()
    for metric in task.metrics
    if metric not in ("mean_class_accuracy", "cer")
}
"""Columns of the comparison: task and metric by title."""


def scores_table(scores: Sequence[Mapping[str, Any]]) -> str:
    """Text with a line for each metric of each task: value, 95 % interval and protocol."""
    rows = [("task", "metric", "value", "95 % interval", "", "protocol")]
    for score in scores:
        for name, value in score["metrics"].items():
            between = score["intervals"][name]
            rows.append(
                (
                    TASKS[score["task"]].title if name == score["metric"] else "",
                    f"{name} (%)" if name in PERCENT else name,
                    shown(name, value),
                    "" if between is None else " to ".join(shown(name, v) for v in between),
                    "higher is better" if METRICS[name].higher_is_better else "lower is better",
                    score.get("protocol_name", ""),
                )
            )
    notes = [_rejection(score["rejection"]) for score in scores if "rejection" in score]
    return "\n".join((*aligned(rows), *notes))


def _rejection(found: Mapping[str, Any]) -> str:
    test = found["test"]
    per_hour, hours = test["false_accepts_per_hour"], test["hours_without_keyword"]
    false_accepts = (
        "no other audio to count false accepts"
        if per_hour is None
        else f"{per_hour:.1f} false accepts per hour in {hours:.2f} h of other audio"
    )
    return (
        f"keywords below a probability of {test['threshold']:.6g} ({found['rule']}) are rejected: "
        f"{shown('accuracy', test['misses'])} % misses, {false_accepts}, "
        f"{test['noise_accepted']} of {test['n_noise']} clips of silence and noise accepted"
    )


def compare(folders: Sequence[Path], out: Path | None) -> tuple[str, list[dict[str, Any]]]:
    """Table of the scores below output folders of `earbit superb`, and its rows.

    out: a .csv or .html file to write as well.  Raises ConfigError for a folder without scores and
    another suffix, FormatError for a damaged file.
    """
    if out is not None and out.suffix not in (".csv", ".html"):
        raise ConfigError(f"{out}: a report is .csv or .html; give a name that ends so")
    rows = [_row(folder) for folder in folders]
    rows += [{"model": f"{name} (published)", **values} for name, values in PUBLISHED.items()]
    used = [title for title in COLUMNS if any(title in row for row in rows[: len(folders)])]
    titles = ["model", *(f"{t} (%)" if COLUMNS[t][1] in PERCENT else t for t in used)]
    cells = [titles, *([row["model"], *(_cell(row, t) for t in used)] for row in rows)]
    if out is not None:
        make_folder(out.parent)
        write_text(out, _csv(cells) if out.suffix == ".csv" else _html(cells))
    note = "Published scores are of the full corpora: compare them only with such scores."
    return "\n".join((*aligned(cells), note)), rows


def shown(metric: str, value: float) -> str:
    """A value as text, in percent where that is usual."""
    return f"{100 * value:.2f}" if metric in PERCENT else f"{value:.4f}"


def _cell(row: Mapping[str, Any], title: str) -> str:
    return shown(COLUMNS[title][1], row[title]) if title in row else ""


def _row(folder: Path) -> dict[str, Any]:
    """Scores in a folder, or in its folders by task, by column."""
    places = [folder / SCORES_NAME, *(folder / task / SCORES_NAME for task in TASKS)]
    found = [path for path in places if path.is_file()]
    if not found:
        raise ConfigError(f"{folder}: no {SCORES_NAME} in it; give output folders of earbit superb")
    row: dict[str, Any] = {"model": folder.name}
    for path in found:
        try:
            score = json.loads(path.read_text(encoding="utf-8"))
            task, metrics = score["task"], score["metrics"]
            row |= {
                title: float(metrics[metric])
                for title, (of_task, metric) in COLUMNS.items()
                if of_task == task and metric in metrics
            }
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{path}: not a score of earbit superb ({error})") from error
    return row


def _csv(cells: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(cells)
    return text.getvalue()


def _html(cells: Sequence[Sequence[str]]) -> str:
    head, *body = (
        "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
        for tag, row in zip(["th", *["td"] * len(cells)], cells, strict=False)
    )
    rows = "\n".join(f"<tr>{row}</tr>" for row in body)
    style = (
        "body{font:16px system-ui;margin:2em}table{border-collapse:collapse}"
        "td,th{padding:.3em .8em;text-align:right;border-bottom:1px solid #ccc}"
        "td:first-child,th:first-child{text-align:left}"
    )
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>SUPERB scores</title>\n'
        f"<style>{style}</style>\n<h1>SUPERB scores</h1>\n<table>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody></table>\n<p>Published scores are of the full corpora: compare "
        "them only with such scores.</p></html>\n"
    )
