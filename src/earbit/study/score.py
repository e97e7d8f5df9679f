"""Scores a model on a task with data in memory."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.audio.corpus import Corpus
from earbit.audio.splits import Splits
from earbit.errors import DataError
from earbit.files import write_json
from earbit.heads.metrics import METRICS
from earbit.model import AudioModel
from earbit.superb.head_file import load_head
from earbit.superb.scores import cases_by_setting
from earbit.superb.task import SCORES_NAME
from earbit.superb.tasks import task_named
from earbit.superb.verb import SCRATCH, corpus_features, score_work
from earbit.superb.work import Settings, work_on
from earbit.upstream.upstream import model_upstream, program_upstream


def score_on(
    model: AudioModel,
    corpus: Corpus,
    waveforms: Mapping[str, NDArray[np.float32]],
    out_dir: Path,
    *,
    task: str = "ks",
    n_steps: int | None = None,
    seed: int,
    program: Path | None = None,
) -> dict[str, Any]:
    """Scores a model on data in memory, by the proxy protocol.

    program: a packed program whose features are scored with the same head.  An interrupted run
    resumes with the cached features; a finished run removes them.
    """
    work = work_on(task_named(task), corpus)
    if not isinstance(work.of_task, Splits):
        raise DataError(f"{task}: a task without a head; take score_model")
    settings = Settings(protocol="proxy", n_steps=n_steps)
    scratch = out_dir / SCRATCH
    upstream = model_upstream("model", model)
    features, _ = corpus_features(upstream, corpus, work.ids, scratch, waveforms)
    score = score_work(work, features, out_dir, settings, seed)
    if program is not None:
        test = {example.id for example in work.of_task.test}
        packed, _ = corpus_features(program_upstream(program, 1), corpus, test, scratch, waveforms)
        cases = cases_by_setting(load_head(out_dir), packed, work.of_task, "test")
        score["packed_value"] = METRICS[score["metric"]].of(cases[score["setting"]])
    write_json(out_dir / SCORES_NAME, score)
    shutil.rmtree(scratch, ignore_errors=True)
    return score
