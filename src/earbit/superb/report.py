"""Tables of scores: of one run, and of several models beside published scores.

The latter is the table of results of SUPERB (arXiv 2105.01051), a row for each model.
"""

from __future__ import annotations

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
from earbit.superb.task import FINETUNED, SCORES_NAME
from earbit.superb.tasks import TASKS
from earbit.text_table import aligned, as_csv, as_html, as_latex

SIZES = {"n_parameters": "parameters (M)", "n_bytes": "size (MB)"}
"""Columns of the size of the model, by name in scores.json."""
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
            if metric not in ("mean_class_accuracy", "slot_accuracy", "cer"):
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
                    protocol_said(score),
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
        f"(picked on the validation part: {found['rule']}) are rejected; on the test part: "
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

    out: a .csv, .html or .tex file to write as well.  Folders of the same model share a row where
    they have scores of different tasks by the same protocol.  Raises ConfigError for a folder
    without scores and another suffix, FormatError for a damaged file.
    """
    if out is not None and out.suffix not in (".csv", ".html", ".tex"):
        raise ConfigError(f"{out}: a report is .csv, .html or .tex; give a name that ends so")
    rows = merged([row for folder in folders for row in _rows(folder)])
    for title in COLUMNS:
        if len({row["corpora"][title] for row in rows if title in row}) > 1:
            say(f"{title}: scores of different corpora stand in one column; do not compare them")
    used = [title for title in (*SIZES, *COLUMNS) if any(title in row for row in rows)]
    found = [{k: v for k, v in row.items() if k not in ("corpora", "origin")} for row in rows]
    for row in found:
        row["protocol"] = "; ".join(sorted(row["protocol"] - {""}))
    found += [
        {"model": name, "protocol": "published", "intervals": {}, **values}
        for name, values in PUBLISHED.items()
    ]
    titles = ["model", "protocol", *(SIZES.get(t, in_percent(t)) for t in used)]
    cells = [
        titles,
        *(
            [r["model"], r["protocol"], *(_cell(r, t, with_interval=True) for t in used)]
            for r in found
        ),
    ]
    if out is not None:
        make_folder(out.parent)
        if out.suffix == ".csv":
            write_text(out, as_csv(_numbers(found, used)))
        elif out.suffix == ".html":
            published = range(len(rows) + 1, len(cells))
            write_text(out, as_html(cells, "SUPERB scores", NOTE, published))
        else:
            write_text(out, as_latex(cells, NOTE))
    return "\n".join((*aligned(cells), NOTE)), found


def merged(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the same model as one, unless their scores conflict, which is reported."""
    found: list[dict[str, Any]] = []
    for row in rows:
        for other in found:
            if not row["origin"] or row["origin"] != other["origin"]:
                continue
            if not (conflict := _conflict(other, row)):
                for key in ("intervals", "corpora"):
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


def _numbers(rows: Sequence[Mapping[str, Any]], used: Sequence[str]) -> list[list[str]]:
    """Rows of a CSV file, which has the ends of each interval in columns of their own."""
    table = [["model", "protocol"], *([row["model"], row["protocol"]] for row in rows)]
    for title in used:
        name = SIZES.get(title, in_percent(title))
        table[0].append(name)
        for line, row in zip(table[1:], rows, strict=True):
            line.append(_cell(row, title))
        if any(title in row["intervals"] for row in rows):
            table[0] += [f"{name} {end} end of 95 % interval" for end in ("low", "high")]
            for line, row in zip(table[1:], rows, strict=True):
                ends = row["intervals"].get(title, ("", ""))
                line += [shown(title, end) if end != "" else "" for end in ends]
    return table


def shown(name: str, value: float) -> str:
    """A value as text, in percent where that is usual."""
    return f"{100 * value:.2f}" if in_percent(name) != name else f"{value:.4f}"


def in_percent(name: str) -> str:
    """The name of a score, with the unit."""
    metric = name.removesuffix(WITH_LM).removesuffix(ON_TEST).split()[-1]
    return f"{name} (%)" if metric in PERCENT else name


def _cell(row: Mapping[str, Any], title: str, *, with_interval: bool = False) -> str:
    if title not in row:
        return ""
    if title in SIZES:
        return f"{row[title] / 1e6:.4g}"
    between = row["intervals"].get(title) if with_interval else None
    ends = "" if between is None else " [{}, {}]".format(*(shown(title, v) for v in between))
    return shown(title, row[title]) + ends


def _rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of the scores in an output folder, by column; fine-tuned ones have their own."""
    places = [folder / SCORES_NAME, *(folder / task / SCORES_NAME for task in TASKS)]
    found = [path for path in places if path.is_file()]
    if not found:
        raise ConfigError(f"{folder}: no {SCORES_NAME} in it; give output folders of earbit superb")
    rows: dict[bool, dict[str, Any]] = {}
    for path in found:
        try:
            score = json.loads(path.read_text(encoding="utf-8"))
            values, protocol = _values(score), protocol_said(score)
            # OUT/TASK is a folder of OUT.
            name = folder.resolve().parent.name if folder.name in TASKS else folder.name
            new_row = {"model": name, "protocol": set(), "origin": set()}
            row = rows.setdefault(
                protocol == FINETUNED, {**new_row, "intervals": {}, "corpora": {}}
            )
            of_task = {
                title: float(values[name][0])
                for title, (task, name) in COLUMNS.items()
                if task == score["task"] and name in values
            }
            row |= of_task | {key: int(score[key]) for key in SIZES if key in score}
            row["protocol"].add(protocol)
            if digest := score.get("model_digest"):
                row["origin"].add((digest, score.get("upstream", "pytorch"), protocol == FINETUNED))
            row["corpora"] |= dict.fromkeys(of_task, score["corpus_digest"])
            ends = {title: values[COLUMNS[title][1]][1] for title in of_task}
            row["intervals"] |= {t: [float(v) for v in e] for t, e in ends.items() if e is not None}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{path}: not a score of earbit superb ({error})") from error
    return list(rows.values())


def protocol_said(score: Mapping[str, Any]) -> str:
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
