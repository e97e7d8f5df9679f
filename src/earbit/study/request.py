"""What a study is asked for, and what its corpora can serve."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from earbit.audio.corpus import Corpus, open_corpus, say_ignored
from earbit.audio.corpus_names import require_corpus
from earbit.errors import ConfigError, DataError, require_range
from earbit.heads.trials import digest_with_trials
from earbit.quantize.plan import Plan, plan_named
from earbit.study.scale import Scale
from earbit.superb.names import corpora_of, tasks_named
from earbit.superb.task import Task
from earbit.superb.work import named_work

MAX_SEEDS = 100
MAX_STAGES = 2
"""Stages of a quantization: w1a1 is reached through w1a2."""
OPTIONS = {"corpus": "--corpus", "seed": "--seed and --seeds", "resplit": "--resplit"}
"""Fields of the recipe that have an option of their own, which decides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """The arguments of a study."""

    scale_name: str
    scale: Scale
    corpus: str = "synthetic"
    task_data: tuple[str, ...] = ()
    """Corpora of the tasks, or TASK=CORPUS; empty: the corpus of the pre-training."""
    tasks: tuple[str, ...] = ("all",)
    seed: int = 0
    """The first seed."""
    n_seeds: int = 1
    resplit: bool = False
    settings: tuple[str, ...] = ()
    """Those that were asked for, which `scale` has too."""
    jobs: int | None = None
    """Steps at a time; None: one, or one per core for models that keep a single core busy."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds."""
        return tuple(range(self.seed, self.seed + self.n_seeds))

    @property
    def n_jobs(self) -> int:
        """Steps at a time."""
        if self.jobs is not None:
            return self.jobs
        return n_cores() if self.scale_name == "tiny" else 1

    @property
    def threads(self) -> int:
        """Threads of each step."""
        return max(1, n_cores() // self.n_jobs)

    @property
    def units(self) -> Path | None:
        """Folder of given units for the first iteration; None if MFCC units are computed."""
        units = self.scale.recipe(self.scale.encoders[0], self.corpus, self.seed).units
        return None if units is None else Path(units)

    def plans(self) -> list[Plan]:
        """The plans by name, each once."""
        return [plan_named(where) for where in dict.fromkeys(self.scale.plans)]

    def check(self) -> None:
        """Raises ConfigError or DataError for names and numbers, without opening any audio."""
        if not self.scale.encoders:
            raise ConfigError("--encoders without a name; give at least one preset or file")
        given = {setting.partition("=")[0]: setting for setting in self.scale.settings}
        for name, option in OPTIONS.items():
            if name in given:
                raise ConfigError(f"--set {given[name]}: give {option} instead")
        if {"units", "n_units"} <= given.keys():
            raise ConfigError("--set n_units with --set units, which have a number; leave it out")
        if len(self.scale.quantize_steps) > MAX_STAGES:
            steps = " ".join(map(str, self.scale.quantize_steps))
            raise ConfigError(f"--quantize-steps {steps}: give one number, or one for each stage")
        for name in self.scale.encoders:
            self.scale.recipe(name, self.corpus, self.seed)
        if not self.scale.plans:
            raise ConfigError("--plans without a name; give fp32, w1a1 or other plans")
        names = [plan.name for plan in self.plans()]
        if len(set(names)) < len(names):
            raise ConfigError(f"--plans {' '.join(names)}: two of them have one name")
        for stage in range(len(self.scale.quantize_steps)):
            self.scale.quantize("w1a1", self.seed, stage=stage)
        require_range(1, MAX_SEEDS + 1, seeds=self.n_seeds)
        if self.jobs is not None:
            require_range(1, 257, jobs=self.jobs)
        require_corpus(self.corpus)
        places(tasks_named(self.tasks), self.corpus, self.task_data)


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Served:
    """The corpus of every task that has one, and why others are left out."""

    place_of: Mapping[str, str]
    corpus_of: Mapping[str, Corpus]
    digest_of: Mapping[str, str]
    """Digests of the corpora, with the trials of tasks that have some."""
    left_out: Mapping[str, str]

    @property
    def groups(self) -> list[list[str]]:
        """Tasks on equal corpora, which share a pass over the audio."""
        groups: dict[str, list[str]] = {}
        for task, digest in self.digest_of.items():
            groups.setdefault(digest, []).append(task)
        return list(groups.values())


def places(tasks: Sequence[Task], corpus: str, task_data: Sequence[str]) -> dict[str, list[str]]:
    """Places where the corpus of each task may be, the first that serves it is taken.

    `synthetic` is the synthetic corpus that has the labels of the task, and a folder with a folder
    of the task's name has a corpus in it.  Raises ConfigError for an unknown task in TASK=CORPUS
    and a second corpus for one, and DataError for a missing folder.
    """
    named: dict[str, str] = {}
    bare: list[str] = []
    for word in task_data or (corpus,):
        name, equals, place = word.partition("=")
        if not equals or Path(word).exists():
            bare.append(word)
            continue
        (task,) = tasks_named([name])
        if task.name in named:
            raise ConfigError(f"--task-data {word}: {name} has a corpus already, {named[name]}")
        named[task.name] = place
    found: dict[str, list[str]] = {}
    for task in tasks:
        given = [named[task.name]] if task.name in named else bare
        found[task.name] = [corpora_of([task], [place])[task.name] for place in given]
        for place in found[task.name]:
            require_corpus(place)
    return found


def served(request: Request) -> Served:
    """Opens the corpora of the tasks, without decoding audio, and finds what they serve.

    Raises DataError for a corpus without usable audio.
    """
    opened: dict[str, Corpus] = {}
    place_of: dict[str, str] = {}
    digest_of: dict[str, str] = {}
    left_out: dict[str, str] = {}
    tasks = tasks_named(request.tasks)
    for name, candidates in places(tasks, request.corpus, request.task_data).items():
        (task,) = tasks_named([name])
        reasons = []
        for place in candidates:
            if place not in opened:
                opened[place] = open_corpus(place, resplit=request.resplit)
                say_ignored(opened[place])
            try:
                named_work(task, opened[place])
            except DataError as error:
                reasons.append(str(error))
                continue
            place_of[name] = place
            digest_of[name] = digest_with_trials(opened[place], task.kind)
            break
        else:
            left_out[name] = reasons[0] if reasons else "no corpus is given for it"
    corpus_of = {name: opened[place] for name, place in place_of.items()}
    return Served(place_of, corpus_of, digest_of, left_out)
