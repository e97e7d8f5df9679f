"""Tables of scores: of one run, and of several models beside published scores.

The latter is the table of results of SUPERB (arXiv 2105.01051), a row for each model.
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from earbit.errors import ConfigError, FormatError
from earbit.files import make_folder, write_text
from earbit.heads.metrics import METRICS, Metric
from earbit.progress import say
from earbit.runtime.likeliest import shown_probability
from earbit.superb.anchors import PUBLISHED
from earbit.superb.finished import SCORES_NAME
from earbit.superb.task import FINETUNED
from earbit.superb.tasks import TASKS
from earbit.text_table import aligned

WITH_LM, ON_TEST = " with LM", " picked on test"
"""Ends of the names of scores that stand beside the score of their metric."""
PERCENT = frozenset(METRICS) - {"mtwv"}
"""Metrics that are printed in percent."""
NOTE = (
    "Published scores are of the full corpora: compare them only with scores of these corpora by "
    "the protocol superb."
)


def _columns() -> Iterator[tuple[str, tuple[str, str]]]:
    for task in TASKS.values():
        for metric in task.metrics:
            if metric not in ("mean_class_accuracy", "cer"):
                title = f"{task.name} {metric}" if metric == "accuracy" else metric
                yield title, (task.name, metric)
            if metric == "wer":
                yield metric + WITH_LM, (task.name, metric + WITH_LM)


COLUMNS = dict(_columns())
"""Columns of the comparison: task and score by title."""


def scores_table(scores: Sequence[Mapping[str, Any]]) -> str:
    """Text with a line for each metric of each task: value, 95 % interval and protocol."""
    rows = [("task", "metric", "value", "95 % interval", "interval over", "", "protocol")]
    for score in scores:
        for name, (value, between) in _values(score).items():
            rows.append(
                (
                    TASKS[score["task"]].title if name == score["metric"] else "",
                    in_percent(name),
                    shown(name, value),
                    "" if between is None else " to ".join(shown(name, v) for v in between),
                    score.get("interval_over", ""),
                    f"{'higher' if _metric(name).higher_is_better else 'lower'} is better",
                    _protocol(score),
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
        f"keywords below a probability of {shown_probability(test['log_odds'])} "
        f"({found['rule']}) are rejected: "
        f"{shown('accuracy', test['misses'])} % misses, {false_accepts}, "
        f"{test['noise_accepted']} of {test['n_noise']} clips of silence and noise accepted"
    )


def _values(score: Mapping[str, Any]) -> dict[str, tuple[float, Sequence[float] | None]]:
    """Values with their intervals by name, those with a language model and picked on test too."""
    intervals = score.get("intervals", {})
    found = {name: (value, intervals.get(name)) for name, value in score["metrics"].items()}
    if with_lm := score.get("with_lm"):
        found |= {
            name + WITH_LM: (value, with_lm["intervals"][name])
            for name, value in with_lm["metrics"].items()
        }
    if (best := score.get("value_picked_on_test")) is not None:
        found[score["metric"] + ON_TEST] = (best, None)
    return found


def _metric(name: str) -> Metric:
    return METRICS[name.removesuffix(WITH_LM).removesuffix(ON_TEST)]


def compare(folders: Sequence[Path], out: Path | None) -> tuple[str, list[dict[str, Any]]]:
    """Table of the scores below output folders of `earbit superb`, and its rows.

    out: a .csv or .html file to write as well.  Raises ConfigError for a folder without scores and
    another suffix, FormatError for a damaged file.
    """
    if out is not None and out.suffix not in (".csv", ".html"):
        raise ConfigError(f"{out}: a report is .csv or .html; give a name that ends so")
    rows = [row for folder in folders for row in _rows(folder)]
    n_own = len(rows)
    for title in COLUMNS:
        if len({row["corpora"][title] for row in rows if title in row}) > 1:
            say(f"{title}: scores of different corpora stand in one column; do not compare them")
    rows = [{k: v for k, v in row.items() if k != "corpora"} for row in rows]
    rows += [
        {"model": name, "protocol": "published", **values} for name, values in PUBLISHED.items()
    ]
    used = [title for title in COLUMNS if any(title in row for row in rows[:n_own])]
    titles = ["model", "protocol", *map(in_percent, used)]
    cells = [
        titles,
        *([row["model"], row["protocol"], *(_cell(row, t) for t in used)] for row in rows),
    ]
    if out is not None:
        make_folder(out.parent)
        write_text(out, _csv(cells) if out.suffix == ".csv" else _html(cells))
    return "\n".join((*aligned(cells), NOTE)), rows


def shown(name: str, value: float) -> str:
    """A value as text, in percent where that is usual."""
    return f"{100 * value:.2f}" if in_percent(name) != name else f"{value:.4f}"


def in_percent(name: str) -> str:
    """The name of a score, with the unit."""
    metric = name.removesuffix(WITH_LM).removesuffix(ON_TEST).split()[-1]
    return f"{name} (%)" if metric in PERCENT else name


def _cell(row: Mapping[str, Any], title: str) -> str:
    return shown(title, row[title]) if title in row else ""


def _rows(folder: Path) -> list[dict[str, Any]]:
    """Scores in a folder, or in its folders by task, by column; fine-tuned ones have their own."""
    places = [folder / SCORES_NAME, *(folder / task / SCORES_NAME for task in TASKS)]
    found = [path for path in places if path.is_file()]
    if not found:
        raise ConfigError(f"{folder}: no {SCORES_NAME} in it; give output folders of earbit superb")
    rows: dict[bool, dict[str, Any]] = {}
    for path in found:
        try:
            score = json.loads(path.read_text(encoding="utf-8"))
            values, protocol = _values(score), _protocol(score)
            new_row = {"model": folder.name, "protocol": set(), "corpora": {}}
            row = rows.setdefault(protocol == FINETUNED, new_row)
            of_task = {
                title: float(values[name][0])
                for title, (task, name) in COLUMNS.items()
                if task == score["task"] and name in values
            }
            row |= of_task
            row["protocol"].add(protocol)
            row["corpora"] |= dict.fromkeys(of_task, score["corpus_digest"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{path}: not a score of earbit superb ({error})") from error
    return [{**row, "protocol": "; ".join(sorted(row["protocol"] - {""}))} for row in rows.values()]


def _protocol(score: Mapping[str, Any]) -> str:
    """The protocol of a score, and whether it compares with published scores."""
    if score.get("finetuned"):
        return FINETUNED
    name = str(score.get("protocol_name", ""))  # none where nothing is trained
    published = asdict(TASKS[score["task"]].published)
    if not name or (name == "superb" and _as_json(score["protocol"]) == _as_json(published)):
        return name
    return f"{'changed ' if name == 'superb' else ''}{name}: not comparable"


def _as_json(values: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(values))


def _csv(cells: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(cells)
    return text.getvalue()


def _html(cells: Sequence[Sequence[str]]) -> str:
    head, *body = (
        "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
        for tag, row in zip(["th", *["td"] * len(cells)], cells, strict=False)
    )
    rows = "\n".join(
        f"<tr{' class=published' if cell[1] == 'published' else ''}>{row}</tr>"
        for row, cell in zip(body, cells[1:], strict=True)
    )
    style = (
        "body{font:16px system-ui;margin:2em}table{border-collapse:collapse}"
        "td,th{padding:.3em .8em;text-align:right;border-bottom:1px solid #ccc}"
        "td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}"
        "thead th{border-bottom:2px solid #666;vertical-align:bottom}"
        ".published{color:#666;font-style:italic}"
    )
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>SUPERB scores</title>\n'
        f"<style>{style}</style>\n<h1>SUPERB scores</h1>\n<table>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody></table>\n<p>{NOTE}</p></html>\n"
    )
