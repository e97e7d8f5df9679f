"""Predictions of a head on a part of the splits, and the metrics of them for scores.json."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import earbit
from earbit.audio.splits import Splits
from earbit.errors import ConfigError
from earbit.heads.cases import MIN_GROUPS, Cases, interval, samples_text
from earbit.heads.example import Example
from earbit.heads.kinds.table import KINDS
from earbit.heads.metrics import METRICS
from earbit.superb.head_file import TrainedHead
from earbit.superb.task import Task
from earbit.superb.training import predictions_by_setting
from earbit.upstream.features import FrozenFeatures


def score_of(
    trained: TrainedHead,
    setting: Any,
    cases: Cases,
    features: FrozenFeatures,
    splits: Splits[Example],
    seed: int,
) -> dict[str, Any]:
    """Metrics of the test clips with what they were computed from, for scores.json."""
    return {
        **scored(trained.task, cases),
        "valid_value": trained.point.value,
        "n_train": len(splits.train),
        "n_valid": len(splits.valid),
        "n_test": len(splits.test),
        "setting": setting,
        "seed": seed,
        "layer_weights": trained.head.layers.shares(),
        "outputs": list(trained.outputs),
        **origin(trained.task, features, splits.summary),
    }


def scored(task: Task, cases: Cases) -> dict[str, Any]:
    """All metrics of a task with their 95 % intervals, for scores.json."""
    values = {name: METRICS[name].of(cases) for name in task.metrics}
    samples = {name: METRICS[name].resampled(cases) for name in task.metrics}
    first = task.metrics[0]
    return {
        "task": task.name,
        "metric": first,
        "value": values[first],
        "interval": interval(samples[first]),
        "metrics": values,
        "intervals": {name: interval(samples[name]) for name in task.metrics},
        "resampled": samples_text(samples[first]),
        "higher_is_better": METRICS[first].higher_is_better,
        "interval_over": _resampled(task, cases),
        "test_groups": sha256("\n".join(cases.groups).encode()).hexdigest()[:16],
    }


def _resampled(task: Task, cases: Cases) -> str:
    """What the intervals of a score were resampled over, as text."""
    names = set(cases.groups)
    n_speakers = sum(name.startswith("speaker ") for name in names)
    unit = "queries" if task.kind == "match" else "clips"
    counts = {"speakers": n_speakers, unit: len(names) - n_speakers}
    groups = " and ".join(f"{count} {of}" for of, count in counts.items() if count)
    if len(names) >= MIN_GROUPS:
        return groups
    if METRICS[task.metrics[0]].is_of_pairs:
        return f"none for {groups}, at least {MIN_GROUPS} are needed"
    return f"{len(cases.groups)} clips of {groups}" if n_speakers else groups


def origin(task: Task, features: FrozenFeatures, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a score was computed from, for scores.json."""
    return {
        "splits": dict(summary),
        "model_digest": features.model_digest,
        "corpus_digest": features.corpus_digest,
        "cache": features.cache,
        "source": task.source,
        "earbit": earbit.__version__,
    }


def cases_by_setting(
    trained: TrainedHead, features: FrozenFeatures, splits: Splits[Example], part: str
) -> dict[Any, Cases]:
    """Predictions and references of one part of the splits by setting of the kind of output.

    Raises ConfigError when the features do not have the shape that the head was trained on.
    """
    shape = trained.head.shape
    if (features.n_states, features.width) != (shape.n_states, shape.width):
        raise ConfigError(
            f"features of {features.n_states} states x {features.width}, the head was trained on "
            f"{shape.n_states} x {shape.width}; use the model or program that it was trained with"
        )
    examples = getattr(splits, part)
    task = trained.task
    found = predictions_by_setting(task, trained.head, trained.slots, features, examples)
    trials = splits.trials.get(part, ())
    of = KINDS[task.kind].cases
    return {setting: of(examples, found[setting], trials) for setting in found}


def best_setting(trained: TrainedHead, features: FrozenFeatures, splits: Splits[Example]) -> Any:
    """The setting of the kind that is best on the validation clips; of equal ones the first."""
    settings = KINDS[trained.task.kind].settings
    best = settings[0]
    if len(settings) == 1:
        return best
    metric = METRICS[trained.task.metrics[0]]
    cases = cases_by_setting(trained, features, splits, "valid")
    value_of = {setting: metric.of(cases[setting]) for setting in settings}
    for setting in settings:
        if metric.is_better(value_of[setting], value_of[best]):
            best = setting
    return best
