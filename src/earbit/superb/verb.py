"""Command `earbit superb`: trains and scores the heads of tasks on frozen features."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.audio.corpus import (
    Corpus,
    add_to_quarantine,
    load_waveform,
    open_corpus,
    say_ignored,
    without,
)
from earbit.audio.splits import Splits
from earbit.errors import ConfigError
from earbit.files import make_folder, write_json
from earbit.folder_lock import only_process_in
from earbit.heads.language_model import LanguageModel
from earbit.heads.split_checks import say_splits
from earbit.heads.trials import digest_with_trials
from earbit.nn.devices import TrainPrecision
from earbit.superb.finished import claim_tasks, finished_score
from earbit.superb.folds import run_folds
from earbit.superb.head_file import HEAD_NAME
from earbit.superb.match import run_match
from earbit.superb.names import corpora_of, tasks_named
from earbit.superb.rejection import add_rejection
from earbit.superb.runner import check_protocol, run_task
from earbit.superb.task import SCORES_NAME
from earbit.superb.training import Training
from earbit.superb.with_lm import is_scored_with
from earbit.superb.work import Settings, Work, named_work
from earbit.upstream.features import CacheName, FrozenFeatures, frozen_features
from earbit.upstream.names import is_program
from earbit.upstream.planned import Export, Planned, planned
from earbit.upstream.upstream import Upstream, is_finetuned, upstream_named

LoadAudio = Callable[[Any], NDArray[np.float32]]
"""Cut -> waveform; raises DataError for unusable audio."""
SCRATCH = "superb-features"
"""Folder of cached features in OUT, removed when the scores are written."""


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
    precision: TrainPrecision = "fp32",
    cache: CacheName = "fp32",
    lm: LanguageModel | None = None,
    plan: str | None = None,
    export: Export | None = None,
    has_rejection: bool = True,
    load: LoadAudio | None = None,
) -> list[dict[str, Any]]:
    """Scores an upstream on tasks and returns their scores.

    where: a name for `upstream_named`.  device: computes features and trains heads.  precision: of
    the products of a model in PyTorch.  data: a corpus for all tasks, or `TASK=CORPUS` for each.
    cache: as in `frozen_features`.  lm: also decodes speech recognition with a language model.
    plan: quantizes a model, calibrated on training clips.  export: scores it from the packed
    runtime.  has_rejection: also finds the thresholds of spotted words, on further audio without
    any.  load: reads the audio of a cut.  Tasks on the same corpus share one pass over the audio.
    One task is written to OUT, several are written to OUT/TASK.  Finished tasks keep their scores,
    and further ones are added.  Raises ConfigError for invalid settings and DataError when a task
    cannot use the labels or splits, before any audio is decoded.
    """
    settings, load = settings or Settings(), load or load_waveform
    chosen_tasks = tasks_named(tasks)
    names = [task.name for task in chosen_tasks]
    if lm is not None and not any("wer" in task.metrics for task in chosen_tasks):
        raise ConfigError(f"--lm with --task {' '.join(names)}; only asr has words to decode")
    where_of = corpora_of(chosen_tasks, data)
    needs_export = export is not None and not is_program(where)
    made = planned(where, plan, export, seed, device, precision) if plan or needs_export else None
    upstream = made or upstream_named(
        where, seed=seed, threads=threads, device=device, precision=precision
    )
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
    chosen |= {"of_tasks": of_tasks} if (of_tasks := chosen.pop("tasks")) else {}
    chosen["cache"] = "fp16" if cache == "fp16" else "fp32"  # without one, features are the same
    if precision != "fp32":
        record["precision"] = precision
    if is_finetuned(where):
        record["finetuned"] = True  # marks the score of a new head, too
    run = {
        "superb": {"tasks": names, "seed": seed, "resplit": resplit, **chosen, **record},
        "rules": made.plan.described() if made and made.plan else None,
        "model": upstream.digest,
        "corpus": {w.task.name: digest_with_trials(w.corpus, w.task.kind) for w in works},
    }
    found: dict[str, dict[str, Any]] = {}
    with only_process_in(out_dir):
        before, is_one = claim_tasks(out_dir, run)
        scratch = out_dir / SCRATCH
        places = {name: out_dir if is_one else out_dir / name for name in names}
        for task in chosen_tasks:
            files = [places[task.name] / HEAD_NAME] * bool(task.head)
            files += made.files(out_dir) if made else []
            score = finished_score(places[task.name], files, lambda s: is_scored_with(s, lm))
            if score is not None:
                found[task.name] = score
        todo = [work for work in works if work.task.name not in found]
        if not todo:
            shutil.rmtree(scratch, ignore_errors=True)
            return [found[name] for name in names]
        if isinstance(upstream, Planned):
            first = works[0]
            upstream = upstream.upstream(
                first.corpus, first.train_ids, out_dir, seed, threads, is_made=bool(before)
            )
        record |= upstream.size
        for corpus in opened.values():
            of_corpus = [work for work in todo if work.corpus is corpus]
            if not of_corpus:
                continue
            ids = set().union(*(work.ids for work in of_corpus))
            features, usable = corpus_features(
                upstream, corpus, ids, scratch, cache=cache, load=load
            )
            add_to_quarantine(usable, out_dir)
            for work in of_corpus:
                into = make_folder(places[work.task.name])
                # Splits stay as they are, unless clips could not be decoded.
                left = work if usable is corpus else named_work(work.task, usable)
                score = (
                    score_work(left, features, into, settings, seed, lm)
                    | record
                    | dict(upstream.size)
                )
                if has_rejection and left.task.is_spotting and isinstance(left.of_task, Splits):
                    score = add_rejection(
                        score, into, upstream, features, usable, left.of_task, load
                    )
                write_json(into / SCORES_NAME, score)
                found[work.task.name] = score
        shutil.rmtree(scratch, ignore_errors=True)
    return [found[name] for name in names]


def corpus_features(
    upstream: Upstream,
    corpus: Corpus,
    ids: set[str],
    cache_dir: Path,
    waveforms: Mapping[str, NDArray[np.float32]] | None = None,
    cache: CacheName = "fp32",
    load: LoadAudio = load_waveform,
) -> tuple[FrozenFeatures, Corpus]:
    """Features of clips of a corpus, and the corpus without the clips that cannot be decoded."""
    cut_of = {cut.id: cut for cut in corpus.cuts if cut.id in ids}
    hop = upstream.hop_samples
    waveform_of: Callable[[str], NDArray[np.float32]] = (
        waveforms.__getitem__ if waveforms is not None else lambda i: load(cut_of[i])
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
    """Trains and scores the heads of one task; writes the head to `out_dir`."""
    task, of_task = work.task, work.of_task
    if not isinstance(of_task, Splits):
        return run_match(task, features, of_task, seed=seed)
    say_splits(task.name, of_task)
    name, protocol = settings.of(task, work.hours)
    training = Training(task=task, protocol=protocol, features=features, splits=of_task, seed=seed)
    if of_task.folds:
        return run_folds(training, out_dir, name)
    return run_task(training, out_dir, name, lm)[0]
