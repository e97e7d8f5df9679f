"""Trains a sweep of heads, selects one on the validation clips and scores it on the test clips."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import earbit
from earbit.audio.splits import Splits
from earbit.errors import ConfigError, DataError
from earbit.files import make_folder, write_json
from earbit.progress import progress, say
from earbit.superb.features import FrozenFeatures
from earbit.superb.head_file import TrainedHead, load_head, save_head
from earbit.superb.kinds.table import KINDS
from earbit.superb.metrics import METRICS
from earbit.superb.task import Example, Task
from earbit.superb.training import Training, predict, train_head

SEED = 1337


def run_task(
    task: Task,
    features: FrozenFeatures,
    splits: Splits[Example],
    out_dir: Path,
    *,
    lrs: Sequence[float] | None = None,
    n_steps: int | None = None,
    batch_size: int | None = None,
    seed: int = SEED,
) -> dict[str, Any]:
    """Trains a head per learning rate and scores the best one on the test clips.

    Defaults are the published protocol.  Ties go to the earlier of `lrs`.  Writes OUT/scores.json,
    OUT/head.safetensors and all heads to OUT/sweep, from which an interrupted run resumes.  Raises
    ConfigError for invalid settings, DataError for empty splits or clips without features.
    """
    lrs = task.lrs if lrs is None else lrs
    training = Training(
        task=task,
        features=features,
        splits=splits,
        n_steps=task.n_steps if n_steps is None else n_steps,
        batch_size=task.batch_size if batch_size is None else batch_size,
        seed=seed,
    )
    _check_settings(training, lrs)
    _check_clips(training)
    metric = METRICS[task.metrics[0]]
    sweep_dir = make_folder(make_folder(out_dir) / "sweep")
    sweep = []
    with progress(f"{task.name} heads", len(lrs)) as advance:
        for lr in lrs:
            trained = _trained(training, lr, sweep_dir)
            sweep.append(trained)
            advance(1, f"lr {lr}: {task.metrics[0]} {trained.point.value:.4g} on valid")
    best = sweep[0]
    for trained in sweep[1:]:
        if metric.is_better(trained.point.value, best.point.value):
            best = trained
    save_head(out_dir / "head.safetensors", best)
    metrics = score_with(best, features, splits.test)
    score = {
        "task": task.name,
        "metric": task.metrics[0],
        "value": metrics[task.metrics[0]],
        "metrics": metrics,
        "higher_is_better": metric.higher_is_better,
        "valid_value": best.point.value,
        "n_train": len(splits.train),
        "n_valid": len(splits.valid),
        "n_test": len(splits.test),
        "lr": best.point.lr,
        "grid": [asdict(trained.point) for trained in sweep],
        "n_steps": training.n_steps,
        "batch_size": training.batch_size,
        "seed": seed,
        "layer_weights": best.head.layers.shares(),
        "outputs": list(best.outputs),
        "splits": dict(splits.summary),
        "model_digest": features.model_digest,
        "corpus_digest": features.corpus_digest,
        "source": task.source,
        "earbit": earbit.__version__,
    }
    write_json(out_dir / "scores.json", score)
    return score


def score_with(
    trained: TrainedHead, features: FrozenFeatures, examples: Sequence[Example]
) -> dict[str, float]:
    """All metrics of a trained head on other features, for example from the packed runtime.

    Raises ConfigError when the features do not have the shape that the head was trained on.
    """
    shape = trained.head.shape
    if (features.n_states, features.width) != (shape.n_states, shape.width):
        raise ConfigError(
            f"features of {features.n_states} states x {features.width}, the head was trained on "
            f"{shape.n_states} x {shape.width}; use the model or program that it was trained with"
        )
    predictions = predict(trained.task, trained.head, trained.slots, features, examples)
    references = [example.target for example in examples]
    return {name: METRICS[name].of(predictions, references) for name in trained.task.metrics}


def _trained(training: Training, lr: float, sweep_dir: Path) -> TrainedHead:
    """Loads a head of the sweep from an interrupted run with equal settings, or trains it."""
    path = sweep_dir / f"{_key(training, lr)}.safetensors"
    if path.exists():
        return load_head(path)
    trained = train_head(training, lr)
    save_head(path, trained)
    return trained


def _key(training: Training, lr: float) -> str:
    """Digest of all settings and data that a head depends on."""
    task, splits, features = training.task, training.splits, training.features
    parts = [[[e.id, e.target] for e in part] for part in (splits.train, splits.valid)]
    settings = [asdict(task), training.n_steps, training.batch_size, training.seed, lr]
    origin = [features.model_digest, features.corpus_digest, earbit.__version__]
    text = json.dumps([settings, origin, parts])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _check_settings(training: Training, lrs: Sequence[float]) -> None:
    for lr in lrs:
        if not (math.isfinite(lr) and lr > 0):
            raise ConfigError(
                f"lr={lr}; a learning rate is above 0, {training.task.name} takes 1e-1 to 1e-7"
            )
    if not lrs or len(set(lrs)) < len(lrs):
        raise ConfigError(f"lrs={list(lrs)}; give at least one, and each once")
    n_steps, batch_size = training.n_steps, training.batch_size
    if n_steps < 1 or batch_size < 1:
        raise ConfigError(f"n_steps={n_steps}, batch_size={batch_size}; both are at least 1")


def _check_clips(training: Training) -> None:
    splits, clips = training.splits, training.features.clips
    for name, part in (("train", splits.train), ("valid", splits.valid), ("test", splits.test)):
        if not part:
            raise DataError(f"no {name} clips; scoring needs train, valid and test clips")
        missing = [example.id for example in part if example.id not in clips]
        if missing:
            raise DataError(
                f"{len(missing)} {name} clips have no features, first {missing[0]!r}; "
                "compute them for every clip of the splits"
            )
    min_frames = KINDS[training.task.kind].min_frames
    n_short = sum(clips[e.id].shape[1] < min_frames(e.target) for e in splits.train)
    if n_short:
        say(
            f"{n_short} of {len(splits.train)} training clips have fewer frames than their "
            f"{training.task.label} needs; they do not contribute to training"
        )
