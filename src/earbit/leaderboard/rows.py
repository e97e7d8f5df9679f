"""Rows of scores: one for each model, read from output folders of `earbit superb`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit.errors import ConfigError, FormatError
from earbit.heads.differences import ScoredMetric
from earbit.progress import say
from earbit.superb.report import WITH_LM, protocol_said, shown, values_of
from earbit.superb.task import FINETUNED, SCORES_NAME
from earbit.superb.tasks import TASKS

SIZES = {"n_parameters": "parameters (M)", "n_bytes": "size (MB)"}
"""Columns of the size of the model, by name in scores.json."""


def _columns() -> Iterator[tuple[str, tuple[str, str]]]:
    for task in TASKS.values():
        for metric in task.metrics:
            if metric not in ("mean_class_accuracy", "slot_accuracy", "cer"):
                title = f"{task.name} {metric}" if metric == "accuracy" else metric
                yield title, (task.name, metric)
            if metric == "wer":
                yield metric + WITH_LM, (task.name, metric + WITH_LM)


COLUMNS = dict(_columns())
"""Columns of the comparison: task and score by title."""
MAIN_TITLES = [title for title, (task, name) in COLUMNS.items() if name == TASKS[task].metrics[0]]
"""Columns of the first metric of each task."""


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Rows of the scores in an output folder, by column; fine-tuned ones have their own."""
    places = [folder / SCORES_NAME, *(folder / task / SCORES_NAME for task in TASKS)]
    found = [path for path in places if path.is_file()]
    if not found:
        raise ConfigError(f"{folder}: no {SCORES_NAME} in it; give output folders of earbit superb")
    rows: dict[bool, dict[str, Any]] = {}
    for path in found:
        try:
            score = json.loads(path.read_text(encoding="utf-8"))
            values, protocol = values_of(score), protocol_said(score)
            # OUT/TASK is a folder of OUT.
            name = folder.resolve().parent.name if folder.name in TASKS else folder.name
            new_row = {"model": name, "protocol": set(), "origin": set()}
            row = rows.setdefault(
                protocol == FINETUNED, {**new_row, "intervals": {}, "corpora": {}, "tested": {}}
            )
            of_task = {
                title: float(values[name][0])
                for title, (task, name) in COLUMNS.items()
                if task == score["task"] and name in values
            }
            row |= of_task | {key: int(score[key]) for key in SIZES if key in score}
            row["tested"] |= {
                title: ScoredMetric.of(score, COLUMNS[title][1])
                for title in of_task
                if title in MAIN_TITLES
            }
            row["protocol"].add(protocol)
            if digest := score.get("model_digest"):
                row["origin"].add((digest, score.get("upstream", "pytorch"), protocol == FINETUNED))
            row["corpora"] |= dict.fromkeys(of_task, score["corpus_digest"])
            ends = {title: values[COLUMNS[title][1]][1] for title in of_task}
            row["intervals"] |= {t: [float(v) for v in e] for t, e in ends.items() if e is not None}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{path}: not a score of earbit superb ({error})") from error
    return list(rows.values())


def merged(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the same model as one, unless their scores conflict, which is reported."""
    found: list[dict[str, Any]] = []
    for row in rows:
        for other in found:
            if not row["origin"] or row["origin"] != other["origin"]:
                continue
            if not (conflict := _conflict(other, row)):
                for key in ("intervals", "corpora", "tested"):
                    row[key] |= other[key]
                names = dict.fromkeys([*other["model"].split(" + "), row["model"]])
                protocols = other["protocol"] | row["protocol"]
                other |= row | {"model": " + ".join(names), "protocol": protocols}
                break
            say(f"{other['model']} and {row['model']}: the same model in two rows, {conflict}")
        else:
            found.append(row)
    return found


def _conflict(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Why the scores of a model do not fit in one row; empty if they do."""
    if len((one["protocol"] | other["protocol"]) - {""}) > 1:
        return "as their protocols differ"
    for title in COLUMNS:
        if title in one and title in other:
            if one["corpora"][title] != other["corpora"][title]:
                return f"as {title} is of different corpora"
            if one[title] != other[title]:
                return f"as {title} is {shown(title, one[title])} and {shown(title, other[title])}"
    return ""
