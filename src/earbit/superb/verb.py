"""Command `earbit superb`: trains and scores the heads of a task on a model and a corpus."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.corpus import Corpus, decoded_corpus, open_corpus, say_ignored
from earbit.files import write_json
from earbit.folder_lock import only_process_in
from earbit.load import preset_or_model
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.progress import say
from earbit.runtime.session import Session
from earbit.superb.examples import task_splits
from earbit.superb.features import cached_features, model_features
from earbit.superb.head_file import load_head
from earbit.superb.runner import run_task, score_with
from earbit.superb.tasks import task_named

SCRATCH = "superb-features"
"""Folder of cached features in OUT, removed when the score is written."""


def score_model(
    where: str, task: str, data: str, out_dir: Path, *, seed: int, resplit: bool = False
) -> dict[str, Any]:
    """Trains the heads of a task on frozen features of a model and scores the best one.

    Number of updates and learning rates suit a small corpus.  A preset has random weights from the
    seed.  resplit: ignores the `split` of the corpus and draws a new one.  Raises DataError, before
    any audio is decoded, when the task cannot use the labels or splits.
    """
    chosen = task_named(task)
    model = preset_or_model(where, seed)
    opened = open_corpus(data, resplit=resplit)
    say_ignored(opened)
    task_splits(chosen, opened.cuts)
    with only_process_in(out_dir):
        corpus, waveforms = decoded_corpus(opened, out_dir)
        return score_on(model, corpus, waveforms, out_dir, task=task, seed=seed)


def score_on(
    model: AudioModel,
    corpus: Corpus,
    waveforms: Mapping[str, np.ndarray],
    out_dir: Path,
    *,
    task: str = "ks",
    n_steps: int | None = None,
    seed: int,
    program: Path | None = None,
) -> dict[str, Any]:
    """Runs `score_model` on data in memory.

    program: a packed program whose features are scored with the same head.  An interrupted run
    resumes with the cached features; a finished run removes them.
    """
    chosen = task_named(task)
    splits = task_splits(chosen, corpus.cuts)
    if (drawn_by := splits.summary.get("drawn_by", "corpus")) != "corpus":
        say(f"splits for {task}: {drawn_by}")
    scratch = out_dir / SCRATCH
    features = cached_features(
        model_features(model),
        waveforms,
        [example.id for part in (splits.train, splits.valid, splits.test) for example in part],
        model_digest=weights_digest(model),
        corpus_digest=corpus.digest,
        cache_dir=scratch,
    )
    n_steps = chosen.n_proxy_steps if n_steps is None else n_steps
    lrs = chosen.proxy_lrs
    score = run_task(chosen, features, splits, out_dir, lrs=lrs, n_steps=n_steps, seed=seed)
    if program is not None:
        session = Session(program)
        packed = cached_features(
            lambda waveform: session.run(waveform, layers="all"),
            waveforms,
            [example.id for example in splits.test],
            model_digest=hashlib.sha256(program.read_bytes()).hexdigest(),
            corpus_digest=corpus.digest,
            cache_dir=scratch,
        )
        score["packed_value"] = score_with(load_head(out_dir), packed, splits.test)[score["metric"]]
        write_json(out_dir / "scores.json", score)
    shutil.rmtree(scratch, ignore_errors=True)
    return score
