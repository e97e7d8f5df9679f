"""Cross-validation: a task is scored on every fold of a corpus whose clips have a label `fold`."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from earbit.audio.splits import Splits
from earbit.errors import DataError
from earbit.files import make_folder, write_json
from earbit.heads.cases import Cases
from earbit.heads.example import Example
from earbit.progress import say
from earbit.superb.features import FrozenFeatures
from earbit.superb.head_file import load_head, save_head
from earbit.superb.runner import SEED, cases_by_setting, origin, run_task, scored
from earbit.superb.task import Protocol, Task

VALID_SHARE = 0.2
"""Fraction of the clips outside of the test fold that validate."""
MAX_FOLDS = 20


def fold_splits(examples: Sequence[Example], fold_of: Mapping[str, str | None]) -> Splits[Example]:
    """Splits of the first fold, with those of all folds in `folds`.

    fold_of: fold by clip id.  The test clips are those of the fold.  A fifth of the others, of each
    class in the order of a hash of the id, is for validation.  Raises DataError for clips without a
    fold, fewer than two folds or more than MAX_FOLDS, and a class without clips in two folds.
    """
    without = [e.id for e in examples if fold_of.get(e.id) is None]
    if without:
        raise DataError(
            f"{len(without)} of {len(examples)} clips have no `fold`, the first {without[0]!r}; "
            "give every clip a fold in manifest.jsonl, or none"
        )
    names = sorted({str(fold_of[e.id]) for e in examples})
    if not 2 <= len(names) <= MAX_FOLDS:
        raise DataError(f"{len(names)} values of `fold`; 2 to {MAX_FOLDS} are allowed")
    folds = {name: _fold(name, examples, fold_of) for name in names}
    counts = {name: len(fold.test) for name, fold in folds.items()}
    summary = {"drawn_by": f"{len(names)} folds, valid by id within each", "folds": counts}
    return replace(folds[names[0]], folds=folds, summary=summary)


def _fold(
    name: str, examples: Sequence[Example], fold_of: Mapping[str, str | None]
) -> Splits[Example]:
    ordered = sorted(examples, key=lambda e: hashlib.sha256(e.id.encode()).digest())
    test = [e for e in ordered if fold_of[e.id] == name]
    rest = [e for e in ordered if fold_of[e.id] != name]
    n_of_class = Counter(e.target for e in rest)
    missing = sorted({str(e.target) for e in test if not n_of_class[e.target]})
    if missing or len(n_of_class) < 2:
        raise DataError(
            f"fold {name!r}: "
            + (
                f"no clip of {', '.join(missing)} outside of it; every class needs clips in two "
                "folds"
                if missing
                else f"{len(n_of_class)} class outside of it; at least two classes are needed"
            )
        )
    n_valid_of = {c: min(math.ceil(VALID_SHARE * n), n - 1) for c, n in n_of_class.items()}
    parts: dict[str, list[Example]] = {"valid": [], "train": []}
    for example in rest:
        is_valid = n_valid_of[example.target] > 0
        parts["valid" if is_valid else "train"].append(example)
        n_valid_of[example.target] -= is_valid
    if not parts["valid"]:
        raise DataError(
            f"fold {name!r}: one clip of each class outside of it; at least two clips of a class "
            "are needed, to train and to validate"
        )
    train, valid, test = (
        tuple(sorted(part, key=lambda e: e.id)) for part in (parts["train"], parts["valid"], test)
    )
    return Splits(train=train, valid=valid, test=test, summary={"drawn_by": f"fold {name}"})


def run_folds(
    task: Task,
    features: FrozenFeatures,
    splits: Splits[Example],
    out_dir: Path,
    *,
    protocol: Protocol | None = None,
    seed: int = SEED,
) -> dict[str, Any]:
    """Scores a task on every fold like `run_task`; values are means over the folds.

    Intervals are of the test clips of all folds together.  OUT/head.safetensors and the other
    values in scores.json are those of the first fold; `folds` has the score of each.
    """
    scores: dict[str, dict[str, Any]] = {}
    pooled: list[Cases] = []
    for number, (name, fold) in enumerate(splits.folds.items(), start=1):
        say(f"{task.name}: fold {name}, {number} of {len(splits.folds)}")
        place = make_folder(out_dir / "folds" / str(number))
        score = run_task(task, features, fold, place, protocol=protocol, seed=seed)
        head = load_head(place)
        if number == 1:
            save_head(out_dir / "head.safetensors", head)
        pooled.append(cases_by_setting(head, features, fold, "test")[score["setting"]])
        scores[name] = score
    first = next(iter(scores.values()))
    metrics = {
        metric: sum(score["metrics"][metric] for score in scores.values()) / len(scores)
        for metric in task.metrics
    }
    score = {
        **first,
        **scored(task, _joined(pooled), seed),
        "value": metrics[task.metrics[0]],
        "metrics": metrics,
        "n_test": sum(score["n_test"] for score in scores.values()),
        "head_of_fold": next(iter(scores)),
        "folds": {
            name: {key: score[key] for key in ("value", "metrics", "valid_value", "n_test", "lr")}
            for name, score in scores.items()
        },
        **origin(task, features, splits.summary),
    }
    write_json(out_dir / "scores.json", score)
    return score


def _joined(parts: Sequence[Cases]) -> Cases:
    return Cases(
        [prediction for part in parts for prediction in part.predictions],
        [reference for part in parts for reference in part.references],
        [group for part in parts for group in part.groups],
    )
