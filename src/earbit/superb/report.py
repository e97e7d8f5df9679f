"""The table of the scores of one run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from earbit.heads.metrics import METRICS, Metric
from earbit.runtime.likeliest import shown_probability
from earbit.superb.task import FINETUNED
from earbit.superb.tasks import TASKS
from earbit.text_table import aligned

WITH_LM, ON_TEST = " with LM", " picked on test"
"""Ends of the names of scores that stand beside the score of their metric."""
PERCENT = frozenset(METRICS) - {"mtwv"}
"""Metrics that are printed in percent."""


def scores_table(scores: Sequence[Mapping[str, Any]]) -> str:
    """Text with a line for each metric of each task: value, 95 % interval and protocol."""
    rows = [("task", "metric", "value", "95 % interval", "interval over", "", "protocol")]
    for score in scores:
        for name, (value, between) in values_of(score).items():
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


def values_of(score: Mapping[str, Any]) -> dict[str, tuple[float, Sequence[float] | None]]:
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


def shown(name: str, value: float) -> str:
    """A value as text, in percent where that is usual."""
    return f"{100 * value:.2f}" if in_percent(name) != name else f"{value:.4f}"


def in_percent(name: str) -> str:
    """The name of a score, with the unit."""
    metric = name.removesuffix(WITH_LM).removesuffix(ON_TEST).split()[-1]
    return f"{name} (%)" if metric in PERCENT else name


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
