"""Runs any task: a sweep of heads on frozen features, the best on valid, one look at test."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import earbit
from earbit.errors import ConfigError, DataError
from earbit.files import make_folder, write_json
from earbit.progress import progress, say
from earbit.superb.features import FrozenFeatures
from earbit.superb.head_file import Sweep, TrainedHead, read_head, save_head, score_with
from earbit.superb.task import FitRequest, GridPoint, Splits, Task

SEED = 1337


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The result of a task, as it stands in scores.json."""

    task: str
    metric: str
    value: float
    """The metric on the test clips."""
    metrics: dict[str, float]
    """All metrics on the test clips."""
    higher_is_better: bool
    valid_value: float
    n_train: int
    n_valid: int
    n_test: int
    lr: float | None
    """The learning rate that was best on the validation clips."""
    grid: list[dict[str, Any]]
    """Every point of the sweep, on the validation clips."""
    n_steps: int
    batch_size: int
    seed: int
    layer_weights: list[float]
    """Share of every hidden state in what the head sees, the encoder's input first."""
    outputs: list[str]
    splits: dict[str, Any]
    model_digest: str
    corpus_digest: str
    source: str
    earbit: str


def run_task(
    task: Task,
    features: FrozenFeatures,
    splits: Splits,
    out_dir: Path,
    *,
    lrs: Sequence[float] | None = None,
    n_steps: int | None = None,
    batch_size: int | None = None,
    seed: int = SEED,
) -> Score:
    """Trains a head per learning rate, and scores the best one on the test clips, once.

    What is not given is the published protocol (`task.defaults`).  Ties go to the earlier of
    `lrs`.  Writes OUT/scores.json and OUT/head.safetensors.  A run that is killed goes on at the
    first learning rate that it had not finished; a run over other clips, features or settings
    starts anew.  Raises ConfigError for impossible settings, DataError for empty splits or clips
    without features.
    """
    rates: list[float | None] = list(task.defaults.lrs if lrs is None else lrs) or [None]
    n_steps = task.defaults.n_steps if n_steps is None else n_steps
    batch_size = task.defaults.batch_size if batch_size is None else batch_size
    _check_settings(task, rates, n_steps, batch_size)
    _check_clips(features, splits)
    out_dir = make_folder(out_dir)
    request = FitRequest(
        task=task,
        features=features,
        splits=splits,
        outputs=task.outputs(splits.train),
        lr=None,
        n_steps=n_steps,
        batch_size=batch_size,
        seed=seed,
    )
    trained, sweep = _sweep(request, rates, out_dir)
    score = _score(request, trained, sweep)
    (out_dir / "sweep.safetensors").replace(out_dir / "head.safetensors")
    write_json(out_dir / "scores.json", asdict(score))
    return score


def _sweep(
    request: FitRequest, rates: Sequence[float | None], out_dir: Path
) -> tuple[TrainedHead, Sweep]:
    task = request.task
    key = _key(request)
    path = out_dir / "sweep.safetensors"
    trained, points, best = _resume(task, key, rates, out_dir)
    with progress(f"{task.name} heads", len(rates), len(points)) as advance:
        for lr in rates[len(points) :]:
            fitted = task.fit(replace(request, lr=lr))
            points = (*points, fitted.point)
            if trained is None or task.is_better(fitted.point.value, points[best].value):
                trained = TrainedHead(
                    head=fitted.head,
                    outputs=request.outputs,
                    model_digest=request.features.model_digest,
                )
                best = len(points) - 1
            save_head(path, task, trained, Sweep(key=key, points=points, best=best))
            advance(1, f"lr {lr}: {task.metric} {fitted.point.value:.4g} on valid")
    assert trained is not None, "a sweep has at least one point"
    sweep = Sweep(key=key, points=points, best=best)
    save_head(path, task, trained, sweep)
    return trained, sweep


def _resume(
    task: Task, key: str, rates: Sequence[float | None], out_dir: Path
) -> tuple[TrainedHead | None, tuple[GridPoint, ...], int]:
    """Finished points of this very run: those of a killed one, else those of a complete one."""
    for name in ("sweep.safetensors", "head.safetensors"):
        path = out_dir / name
        if not path.exists():
            continue
        trained, sweep = read_head(path, task)
        done = [point.lr for point in sweep.points]
        if sweep.key == key and done == list(rates[: len(done)]):
            return trained, sweep.points, sweep.best
        say(f"{path}: from a run over other clips, features or settings; starting anew")
    return None, (), 0


def _score(request: FitRequest, trained: TrainedHead, sweep: Sweep) -> Score:
    task, splits, features = request.task, request.splits, request.features
    metrics = score_with(task, trained, features, splits.test)
    best = sweep.points[sweep.best]
    return Score(
        task=task.name,
        metric=task.metric,
        value=metrics[task.metric],
        metrics=metrics,
        higher_is_better=task.higher_is_better,
        valid_value=best.value,
        n_train=len(splits.train),
        n_valid=len(splits.valid),
        n_test=len(splits.test),
        lr=best.lr,
        grid=[asdict(point) for point in sweep.points],
        n_steps=request.n_steps,
        batch_size=request.batch_size,
        seed=request.seed,
        layer_weights=trained.head.layers.shares(),
        outputs=list(request.outputs),
        splits=dict(splits.summary),
        model_digest=features.model_digest,
        corpus_digest=features.corpus_digest,
        source=task.source,
        earbit=earbit.__version__,
    )


def _key(request: FitRequest) -> str:
    """A digest of everything that a head depends on but its learning rate."""
    splits, features = request.splits, request.features
    parts = [[[e.id, e.target] for e in part] for part in (splits.train, splits.valid)]
    settings = [request.task.name, request.n_steps, request.batch_size, request.seed]
    origin = [features.model_digest, features.corpus_digest, earbit.__version__]
    text = json.dumps([settings, origin, parts])
    return hashlib.sha256(text.encode()).hexdigest()


def _check_settings(
    task: Task, rates: Sequence[float | None], n_steps: int, batch_size: int
) -> None:
    for lr in rates:
        if lr is not None and not (math.isfinite(lr) and lr > 0):
            raise ConfigError(
                f"lr={lr}; a learning rate is above 0, {task.name} takes 1e-1 to 1e-7"
            )
    if len(set(rates)) < len(rates):
        raise ConfigError(f"lrs={list(rates)}: one of them occurs twice; give each once")
    if n_steps < 1 or batch_size < 1:
        raise ConfigError(f"n_steps={n_steps}, batch_size={batch_size}; both are at least 1")


def _check_clips(features: FrozenFeatures, splits: Splits) -> None:
    for name, part in (("train", splits.train), ("valid", splits.valid), ("test", splits.test)):
        if not part:
            raise DataError(f"no {name} clips; a score needs train, valid and test")
        missing = [example.id for example in part if example.id not in features.clips]
        if missing:
            raise DataError(
                f"{len(missing)} {name} clips have no features, first {missing[0]!r}; "
                "compute them for every clip of the splits"
            )
