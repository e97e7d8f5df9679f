"""Cross-validation: a task is scored on every fold of a corpus whose clips have a label `fold`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from earbit.files import make_folder, write_json
from earbit.heads.cases import Cases
from earbit.progress import say
from earbit.superb.head_file import HEAD_NAME, save_head
from earbit.superb.runner import run_task
from earbit.superb.scores import origin, scored
from earbit.superb.task import SCORES_NAME, ProtocolName
from earbit.superb.training import Training


def run_folds(training: Training, out_dir: Path, protocol_name: ProtocolName) -> dict[str, Any]:
    """Scores a task on every fold like `run_task`; values are means over the folds.

    Intervals are of the test clips of all folds together.  OUT/head.safetensors and the other
    values are those of the first fold; `folds` has the score of each, with its heads in OUT/folds.
    """
    task, splits = training.task, training.splits
    scores: dict[str, dict[str, Any]] = {}
    pooled: list[Cases] = []
    for number, (name, fold) in enumerate(splits.folds.items(), start=1):
        say(f"{task.name}: fold {name}, {number} of {len(splits.folds)}")
        place = make_folder(out_dir / "folds" / str(number))
        of_fold = replace(training, splits=fold)
        scores[name], head, cases = run_task(of_fold, place, protocol_name)
        write_json(place / SCORES_NAME, scores[name])
        pooled.append(cases)
        if number == 1:
            save_head(out_dir / HEAD_NAME, head)
    first = next(iter(scores.values()))
    metrics = {
        metric: sum(score["metrics"][metric] for score in scores.values()) / len(scores)
        for metric in task.metrics
    }
    return {
        **first,
        **scored(task, _joined(pooled)),
        "value": metrics[task.metrics[0]],
        "metrics": metrics,
        "n_test": sum(score["n_test"] for score in scores.values()),
        "head_of_fold": next(iter(scores)),
        "folds": {
            name: {key: score[key] for key in ("value", "metrics", "valid_value", "n_test", "lr")}
            for name, score in scores.items()
        },
        **origin(task, training.features, splits.summary),
    }


def _joined(parts: Sequence[Cases]) -> Cases:
    return Cases(
        [prediction for part in parts for prediction in part.predictions],
        [reference for part in parts for reference in part.references],
        [group for part in parts for group in part.groups],
    )
