"""The work of `earbit superb` on a corpus: a task, its examples, and its protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from earbit.audio.corpus import Corpus, naming_unusable
from earbit.audio.splits import Splits
from earbit.heads.example import Example
from earbit.superb.examples import task_splits
from earbit.superb.search import Search, searches_of
from earbit.superb.task import Protocol, ProtocolName, Task

PROXY_HOURS = 20.0
"""Corpora of fewer hours are scored by the proxy protocol by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Changes of the protocol of a task; None keeps a field."""

    protocol: ProtocolName | None = None
    n_steps: int | None = None
    batch_size: int | None = None
    lrs: tuple[float, ...] | None = None
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Changes of the protocol of single tasks by name, before the others."""

    def of(self, task: Task, hours: float) -> tuple[ProtocolName, Protocol]:
        """Name and values of the protocol for a corpus.

        Another number of updates keeps the interval between evaluations, or a shorter one.
        """
        name: ProtocolName = self.protocol or ("proxy" if hours < PROXY_HOURS else "superb")
        chosen = task.proxy if name == "proxy" else task.published
        chosen = replace(chosen, **self.tasks.get(task.name, {}))
        if self.n_steps is not None and chosen.n_steps:
            n_checks = max(1, -(-self.n_steps * chosen.n_checks // chosen.n_steps))
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
        valid, test = self.of_task["valid"], self.of_task["test"]
        return {*valid.queries, *valid.documents} - {*test.queries, *test.documents}


def work_on(task: Task, corpus: Corpus) -> Work:
    """Raises DataError when the task cannot use the labels or splits of the corpus."""
    return Work(
        task, corpus, searches_of(corpus) if task.kind == "match" else task_splits(task, corpus)
    )


def named_work(task: Task, corpus: Corpus) -> Work:
    """`work_on`, whose errors name the unusable files of the corpus."""
    with naming_unusable(corpus):
        return work_on(task, corpus)
