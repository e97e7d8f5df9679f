"""Command `earbit superb`: trains and scores the heads of tasks on frozen features."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from earbit.audio.corpus import add_to_quarantine, load_waveform, open_corpus, say_ignored
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
from earbit.superb.task import SCORES_NAME, Task
from earbit.superb.training import Training
from earbit.superb.with_lm import is_scored_with
from earbit.superb.work import Settings, Work, named_work
from earbit.upstream.corpus_features import LoadAudio, corpus_features
from earbit.upstream.features import CacheName, FrozenFeatures
from earbit.upstream.names import is_program
from earbit.upstream.planned import Export, Planned, planned
from earbit.upstream.upstream import Upstream, is_finetuned, upstream_named

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
    settings = settings or Settings()
    asked = tasks_named(tasks)
    names = [task.name for task in asked]
    if lm is not None and not any("wer" in task.metrics for task in asked):
        raise ConfigError(f"--lm with --task {' '.join(names)}; only asr has words to decode")
    where_of = corpora_of(asked, data)
    needs_export = export is not None and not is_program(where)
    made = planned(where, plan, export, seed, device, precision) if plan or needs_export else None
    upstream = made or upstream_named(
        where, seed=seed, threads=threads, device=device, precision=precision
    )
    works = _works(asked, where_of, settings, resplit=resplit)
    record = made.record if made else {}
    record |= {} if precision == "fp32" else {"precision": precision}
    record |= {"finetuned": True} if is_finetuned(where) else {}  # marks that of a new head, too
    chosen = asdict(settings)
    chosen |= {"of_tasks": of_tasks} if (of_tasks := chosen.pop("tasks")) else {}
    chosen["cache"] = "fp32" if cache == "none" else cache  # without one, features are the same
    run = {
        "superb": {"tasks": names, "seed": seed, "resplit": resplit, **chosen, **record},
        "rules": made.plan.described() if made and made.plan else None,
        "model": upstream.digest,
        "corpus": {w.task.name: digest_with_trials(w.corpus, w.task.kind) for w in works},
    }
    with only_process_in(out_dir):
        before, is_one = claim_tasks(out_dir, run)
        places = {name: out_dir if is_one else out_dir / name for name in names}
        found = {
            task.name: score
            for task in asked
            if (score := _finished(task, places[task.name], made, out_dir, lm)) is not None
        }
        todo = [work for work in works if work.task.name not in found]
        if todo:
            if isinstance(upstream, Planned):
                first = works[0]
                upstream = upstream.upstream(
                    first.corpus, first.train_ids, out_dir, seed, threads, is_made=bool(before)
                )
            scoring = _Scoring(
                upstream=upstream,
                record={**record, **upstream.size},
                settings=settings,
                seed=seed,
                cache=cache,
                lm=lm,
                has_rejection=has_rejection,
                load=load or load_waveform,
            )
            for corpus in dict.fromkeys(where_of[work.task.name] for work in todo):
                of_corpus = [work for work in todo if where_of[work.task.name] == corpus]
                found |= scoring.scores(of_corpus, places, out_dir)
        shutil.rmtree(out_dir / SCRATCH, ignore_errors=True)
    return [found[name] for name in names]


def _works(
    tasks: Sequence[Task], where_of: Mapping[str, str], settings: Settings, *, resplit: bool
) -> list[Work]:
    """The tasks on their corpora, each of which is opened once; reports ignored files."""
    opened = {
        place: open_corpus(place, resplit=resplit) for place in dict.fromkeys(where_of.values())
    }
    for corpus in opened.values():
        say_ignored(corpus)
    works = [named_work(task, opened[where_of[task.name]]) for task in tasks]
    for work in works:
        if isinstance(work.of_task, Splits):
            check_protocol(work.task, settings.of(work.task, work.hours)[1])
    return works


def _finished(
    task: Task, place: Path, made: Planned | None, out_dir: Path, lm: LanguageModel | None
) -> dict[str, Any] | None:
    files = [place / HEAD_NAME] * bool(task.head) + (made.files(out_dir) if made else [])
    return finished_score(place, files, lambda score: is_scored_with(score, lm))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scoring:
    """How tasks are scored; see `score_model`."""

    upstream: Upstream
    record: Mapping[str, Any]
    settings: Settings
    seed: int
    cache: CacheName
    lm: LanguageModel | None
    has_rejection: bool
    load: LoadAudio

    def scores(
        self, works: Sequence[Work], places: Mapping[str, Path], out_dir: Path
    ) -> dict[str, dict[str, Any]]:
        """Scores of the tasks on one corpus by name, written to the folder of each task."""
        corpus = works[0].corpus
        ids = set().union(*(work.ids for work in works))
        features, usable = corpus_features(
            self.upstream, corpus, ids, out_dir / SCRATCH, cache=self.cache, load=self.load
        )
        add_to_quarantine(usable, out_dir)
        found = {}
        for work in works:
            name, into = work.task.name, make_folder(places[work.task.name])
            # Splits stay as they are, unless clips could not be decoded.
            left = work if usable is corpus else named_work(work.task, usable)
            found[name] = self._score(left, features, into)
            write_json(into / SCORES_NAME, found[name])
        return found

    def _score(self, work: Work, features: FrozenFeatures, into: Path) -> dict[str, Any]:
        made = score_work(work, features, into, self.settings, self.seed, self.lm)
        score = {**made, **self.record}
        if self.has_rejection and work.task.is_spotting and isinstance(work.of_task, Splits):
            return add_rejection(
                score, into, self.upstream, features, work.corpus, work.of_task, self.load
            )
        return score


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
