"""Tables of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earbit.superb.metrics import METRICS
from earbit.superb.tasks import TASKS
from earbit.text_table import aligned

PERCENT = frozenset(
    {"accuracy", "mean_class_accuracy", "wer", "cer", "per", "slot_type_f1", "slot_value_cer"}
    | {"eer", "der"}
)
"""Metrics that are printed in percent."""


def scores_table(scores: Sequence[Mapping[str, Any]]) -> str:
    """Text with a line for each metric of each task: value, 95 % interval and test clips."""
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
    return "\n".join(aligned(rows))


def shown(metric: str, value: float) -> str:
    """A value as text, in percent where that is usual."""
    return f"{100 * value:.2f}" if metric in PERCENT else f"{value:.4f}"
