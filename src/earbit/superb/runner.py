"""Trains a sweep of heads, selects one on the validation clips and scores it on the test clips."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import earbit
from earbit.audio.splits import NAMES, Splits
from earbit.errors import ConfigError, DataError, require_range
from earbit.files import make_folder
from earbit.heads.cases import Cases
from earbit.heads.example import Example
from earbit.heads.kinds.table import KINDS
from earbit.heads.language_model import LanguageModel
from earbit.heads.metrics import METRICS
from earbit.heads.split_checks import require_parts, say_short
from earbit.progress import Advance, progress
from earbit.superb.head_file import HEAD_NAME, TrainedHead, load_head, save_head
from earbit.superb.scores import best_setting, cases_by_setting, score_of, scored
from earbit.superb.task import Protocol, ProtocolName, Task
from earbit.superb.training import Training, train_head
from earbit.superb.with_lm import cases_with_lm
from earbit.upstream.feature_store import frames_in
from earbit.upstream.features import FrozenFeatures


def run_task(
    training: Training,
    out_dir: Path,
    protocol_name: ProtocolName,
    lm: LanguageModel | None = None,
) -> tuple[dict[str, Any], TrainedHead, Cases]:
    """Trains a head per learning rate and scores the best one on the test clips.

    lm: also decodes tasks of words with it.  Ties go to the earlier learning rate.  Writes
    OUT/head.safetensors, and all heads and checkpoints to OUT/sweep, from which an interrupted run
    resumes.  Returns the score, the best head and its predictions of the test clips.  Raises
    ConfigError for invalid settings, DataError for empty splits or clips without features.
    """
    task, protocol, seed = training.task, training.protocol, training.seed
    features, splits = training.features, training.splits
    check_protocol(task, protocol)
    _check_clips(training)
    metric = METRICS[task.metrics[0]]
    sweep_dir = make_folder(make_folder(out_dir) / "sweep")
    sweep = []
    with progress(f"{task.name} updates", len(protocol.lrs) * protocol.n_steps) as advance:
        for lr in protocol.lrs:
            trained = _trained(training, lr, sweep_dir, advance)
            sweep.append(trained)
            advance(0, f"lr {lr}: {task.metrics[0]} {trained.point.value:.4g} on valid")
    best = sweep[0]
    for trained in sweep[1:]:
        if metric.is_better(trained.point.value, best.point.value):
            best = trained
    save_head(out_dir / HEAD_NAME, best)
    setting = best_setting(best, features, splits)
    heads = sweep if task.picked_on_test == "setting" else [best]
    tested = {head.point.lr: cases_by_setting(head, features, splits, "test") for head in heads}
    cases = tested[best.point.lr]
    score = {
        **score_of(best, setting, cases[setting], features, splits, seed),
        **_picked_on_test(task, sweep, tested.values()),
        **_with_lm(best, features, splits, lm),
        "lr": best.point.lr,
        "grid": [asdict(trained.point) for trained in sweep],
        "protocol_name": protocol_name,
        "protocol": asdict(protocol),
    }
    return score, best, cases[setting]


def _picked_on_test(
    task: Task, sweep: Sequence[TrainedHead], tested: Iterable[Mapping[Any, Cases]]
) -> dict[str, Any]:
    """The best value on the test clips of all heads, and checkpoints or settings of each."""
    metric = METRICS[task.metrics[0]]
    if not task.picked_on_test:
        return {}
    values = [trained.point.test_value for trained in sweep]
    if task.picked_on_test == "setting":
        values = [metric.of(cases) for of_head in tested for cases in of_head.values()]
    finite = [value for value in values if value is not None and math.isfinite(value)]
    best = max if metric.higher_is_better else min
    return {"value_picked_on_test": best(finite, default=math.nan)}


def _with_lm(
    trained: TrainedHead,
    features: FrozenFeatures,
    splits: Splits[Example],
    lm: LanguageModel | None,
) -> dict[str, Any]:
    """The scores with a language model, for tasks of words."""
    if lm is None or "wer" not in trained.task.metrics:
        return {}
    cases, used = cases_with_lm(trained, features, splits, lm)
    score = scored(trained.task, cases)
    return {"with_lm": {name: score[name] for name in ("metrics", "intervals")} | used}


def _trained(training: Training, lr: float, sweep_dir: Path, advance: Advance) -> TrainedHead:
    """Loads a head of the sweep that a run with equal settings has finished, or trains it."""
    path = sweep_dir / f"{_key(training, lr)}.safetensors"
    if path.exists():
        advance(training.protocol.n_steps)
        return load_head(path)
    checkpoints = path.with_suffix(".checkpoints")
    trained = train_head(training, lr, advance, checkpoints)
    save_head(path, trained)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return trained


def _key(training: Training, lr: float) -> str:
    """Digest of all settings and data that a head depends on."""
    task, splits, features = training.task, training.splits, training.features
    parts = [[[e.id, e.target] for e in part] for part in (splits.train, splits.valid)]
    parts += [[[e.id, e.target] for e in splits.test]] * (task.picked_on_test == "checkpoint")
    trials = [[[t.first, t.second] for t in splits.trials.get(n, ())] for n in NAMES[1:]]
    of_protocol = {**asdict(training.protocol), "lrs": lr}
    of_task = [task.name, task.kind, task.head, task.metrics, task.is_balanced]
    of_optimiser = [task.max_gradient_norm, task.weight_decay, training.seed]
    where = [features.model_digest, features.corpus_digest, earbit.__version__]
    text = json.dumps([of_task, of_optimiser, of_protocol, where, parts, trials])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def check_protocol(task: Task, protocol: Protocol) -> None:
    """Raises ConfigError for settings that no head can be trained with."""
    lrs = protocol.lrs
    for lr in lrs:
        if not (math.isfinite(lr) and lr > 0):
            raise ConfigError(
                f"lr={lr}; a learning rate is above 0, {task.name} takes 1e-1 to 1e-7"
            )
    if not lrs or len(set(lrs)) < len(lrs):
        raise ConfigError(f"lrs={list(lrs)}; give at least one, and each once")
    require_range(1, 2**31, n_steps=protocol.n_steps, n_checks=protocol.n_checks)
    require_range(1, 2**16, batch_size=protocol.batch_size, d_hidden=protocol.d_hidden)


def _check_clips(training: Training) -> None:
    task, splits, clips = training.task, training.splits, training.features.clips
    require_parts(splits, "scoring")
    for name in NAMES:
        missing = [example.id for example in getattr(splits, name) if example.id not in clips]
        if missing:
            raise DataError(
                f"{len(missing)} {name} clips have no features, first {missing[0]!r}; "
                "compute them for every clip of the splits"
            )
    say_short(KINDS[task.kind], task.label, splits.train, lambda i: frames_in(clips, i))
