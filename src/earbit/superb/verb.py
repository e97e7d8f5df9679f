"""Command `earbit superb`: trains and scores the heads of tasks on frozen features."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.audio.corpus import (
    Corpus,
    load_waveform,
    naming_unusable,
    open_corpus,
    say_ignored,
    without,
    write_quarantine,
)
from earbit.audio.splits import Splits
from earbit.errors import ConfigError, DataError
from earbit.files import make_folder, write_json
from earbit.folder_lock import only_process_in
from earbit.heads.example import Example
from earbit.heads.language_model import LanguageModel
from earbit.heads.metrics import METRICS
from earbit.model import AudioModel
from earbit.run_folder import claim
from earbit.superb.examples import task_splits
from earbit.superb.folds import run_folds
from earbit.superb.head_file import load_head
from earbit.superb.match import run_match
from earbit.superb.names import corpora_of, tasks_named
from earbit.superb.rejection import add_rejection
from earbit.superb.runner import cases_by_setting, check_protocol, run_task, say_splits
from earbit.superb.search import Search, searches_of
from earbit.superb.task import Protocol, ProtocolName, Task
from earbit.superb.tasks import task_named
from earbit.upstream.features import CacheName, FrozenFeatures, frozen_features
from earbit.upstream.names import is_program
from earbit.upstream.planned import Export, Planned, planned
from earbit.upstream.upstream import Upstream, model_upstream, program_upstream, upstream_named

SCRATCH = "superb-features"
"""Folder of cached features in OUT, removed when the scores are written."""
PROXY_HOURS = 20.0
"""Corpora of fewer hours are scored by the proxy protocol by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Changes of the protocol of a task; None keeps a field."""

    protocol: ProtocolName | None = None
    n_steps: int | None = None
    batch_size: int | None = None
    lrs: tuple[float, ...] | None = None

    def of(self, task: Task, hours: float) -> tuple[ProtocolName, Protocol]:
        """Name and values of the protocol for a corpus.

        Another number of updates keeps the interval between evaluations, or a shorter one.
        """
        name: ProtocolName = self.protocol or ("proxy" if hours < PROXY_HOURS else "superb")
        chosen = task.proxy if name == "proxy" else task.published
        if self.n_steps is not None and chosen.n_steps:
            n_checks = max(1, math.ceil(self.n_steps * chosen.n_checks / chosen.n_steps))
            chosen = replace(chosen, n_checks=n_checks)
        changed = {
            field: getattr(self, field)
            for field in ("n_steps", "batch_size", "lrs")
            if getattr(self, field) is not None
        }
        return name, replace(chosen, **changed)


@dataclass(frozen=True, slots=True)
class Work:
    """A task on a corpus."""

    task: Task
    corpus: Corpus
    of_task: Splits[Example] | Mapping[str, Search]

    @property
    def ids(self) -> set[str]:
        """Clips that the task needs."""
        if isinstance(self.of_task, Splits):
            return self.of_task.ids
        return {
            i for s in self.of_task.values() for names in (s.queries, s.documents) for i in names
        }

    @property
    def hours(self) -> float:
        """Length of these clips."""
        ids = self.ids
        return float(sum(cut.duration for cut in self.corpus.cuts if cut.id in ids)) / 3600

    @property
    def train_ids(self) -> set[str]:
        """Clips that a model may be calibrated or trained on."""
        if isinstance(self.of_task, Splits):
            return {example.id for example in self.of_task.train}
        return set(self.of_task["valid"].documents)


def work_on(task: Task, corpus: Corpus) -> Work:
    """Raises DataError when the task cannot use the labels or splits of the corpus."""
    return Work(
        task, corpus, searches_of(corpus) if task.kind == "match" else task_splits(task, corpus)
    )


def named_work(task: Task, corpus: Corpus) -> Work:
    """`work_on`, whose errors name the unusable files of the corpus."""
    with naming_unusable(corpus):
        return work_on(task, corpus)


def score_model(
    where: str,
    tasks: Sequence[str],
    data: Sequence[str],
    out_dir: Path,
    *,
    settings: Settings | None = None,
    seed: int,
    threads: int = 1,
    resplit: bool = False,
    device: str = "cpu",
    cache: CacheName = "fp32",
    lm: LanguageModel | None = None,
    plan: str | None = None,
    export: Export | None = None,
) -> list[dict[str, Any]]:
    """Scores an upstream on tasks and returns their scores.

    where: a name for `upstream_named`.  device: computes features and trains heads.  data: a corpus
    for all tasks, or `TASK=CORPUS` for each.  cache: as in `frozen_features`.  lm: also decodes
    speech recognition with a language model.  plan: quantizes a model, calibrated on training
    clips.  export: scores it from the packed runtime.  Tasks on the same corpus share one pass over
    the audio.  One task is written to OUT, several are written to OUT/TASK.  Raises ConfigError for
    invalid settings and DataError when a task cannot use the labels or splits, before any audio is
    decoded.
    """
    settings = settings or Settings()
    chosen_tasks = tasks_named(tasks)
    names = [task.name for task in chosen_tasks]
    if lm is not None and not any("wer" in task.metrics for task in chosen_tasks):
        raise ConfigError(f"--lm with --task {' '.join(names)}; only asr has words to decode")
    where_of = corpora_of(chosen_tasks, data)
    needs_export = export is not None and not is_program(where)
    made = planned(where, plan, export, seed, device) if plan or needs_export else None
    upstream = made or upstream_named(where, seed=seed, threads=threads, device=device)
    opened = {
        place: open_corpus(place, resplit=resplit) for place in dict.fromkeys(where_of.values())
    }
    for corpus in opened.values():
        say_ignored(corpus)
    works = [named_work(task, opened[where_of[task.name]]) for task in chosen_tasks]
    for work in works:
        if isinstance(work.of_task, Splits):
            check_protocol(work.task, settings.of(work.task, work.hours)[1])
    chosen, record = asdict(settings), made.record if made else {}
    chosen["cache"] = "fp16" if cache == "fp16" else "fp32"  # without one, features are the same
    run = {
        "superb": {"tasks": names, "seed": seed, "resplit": resplit, **chosen, **record},
        "rules": made.plan.described() if made and made.plan else None,
        "model": upstream.digest,
        "corpus": [corpus.digest for corpus in opened.values()],
    }
    scores = []
    with only_process_in(out_dir):
        claim(out_dir, "superb", run)
        scratch = out_dir / SCRATCH
        if isinstance(upstream, Planned):
            first = works[0]
            upstream = upstream.upstream(first.corpus, first.train_ids, out_dir, seed, threads)
        for corpus in opened.values():
            of_corpus = [work for work in works if work.corpus is corpus]
            ids = set().union(*(work.ids for work in of_corpus))
            features, usable = corpus_features(upstream, corpus, ids, scratch, cache=cache)
            write_quarantine(usable, out_dir)
            for work in of_corpus:
                into = out_dir if len(names) == 1 else out_dir / work.task.name
                # Splits stay as they are, unless clips could not be decoded.
                left = work if usable is corpus else named_work(work.task, usable)
                score = score_work(left, features, into, settings, seed, lm) | record
                if record:
                    write_json(into / "scores.json", score)
                if left.task.is_spotting and isinstance(left.of_task, Splits):
                    score = add_rejection(
                        score, into, upstream, features, usable, left.of_task, load_waveform
                    )
                scores.append(score)
        shutil.rmtree(scratch, ignore_errors=True)
    return sorted(scores, key=lambda score: names.index(score["task"]))


def corpus_features(
    upstream: Upstream,
    corpus: Corpus,
    ids: set[str],
    cache_dir: Path,
    waveforms: Mapping[str, NDArray[np.float32]] | None = None,
    cache: CacheName = "fp32",
) -> tuple[FrozenFeatures, Corpus]:
    """Features of clips of a corpus, and the corpus without the clips that cannot be decoded."""
    cut_of = {cut.id: cut for cut in corpus.cuts if cut.id in ids}
    hop = upstream.hop_samples
    waveform_of: Callable[[str], NDArray[np.float32]] = (
        waveforms.__getitem__ if waveforms is not None else lambda i: load_waveform(cut_of[i])
    )
    features, unusable = frozen_features(
        upstream,
        waveform_of,
        {i: cut.recording.num_samples // hop for i, cut in cut_of.items()},
        corpus_digest=corpus.digest,
        cache_dir=make_folder(cache_dir),
        cache=cache,
    )
    return features, without(corpus, unusable)


def score_work(
    work: Work,
    features: FrozenFeatures,
    out_dir: Path,
    settings: Settings,
    seed: int,
    lm: LanguageModel | None = None,
) -> dict[str, Any]:
    """Trains and scores the heads of one task; writes scores.json to `out_dir`."""
    task, of_task = work.task, work.of_task
    if not isinstance(of_task, Splits):
        return run_match(task, features, of_task, out_dir, seed=seed, summary={})
    say_splits(task, of_task)
    name, protocol = settings.of(task, work.hours)
    if of_task.folds:
        return run_folds(
            task, features, of_task, out_dir, protocol=protocol, protocol_name=name, seed=seed
        )
    return run_task(
        task, features, of_task, out_dir, protocol=protocol, protocol_name=name, seed=seed, lm=lm
    )


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
        write_json(out_dir / "scores.json", score)
    shutil.rmtree(scratch, ignore_errors=True)
    return score
