"""Names in `earbit superb`: tasks and their corpora.  Known without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from earbit.audio.corpus_names import MANIFEST_NAME, SYNTHETIC, require_corpus
from earbit.errors import ConfigError
from earbit.superb.task import Task
from earbit.superb.tasks import TASKS, task_named
from earbit.upstream.names import require_upstream


def check_names(where: str, tasks: Sequence[str], data: Sequence[str]) -> None:
    """Raises ConfigError or DataError for an unknown task or upstream and a missing corpus."""
    for place in corpora_of(tasks_named(tasks), data).values():
        require_corpus(place)
    require_upstream(where)


def tasks_named(names: Sequence[str]) -> list[Task]:
    """Tasks by name, each once, or all; raises ConfigError for an unknown name."""
    return [task_named(name) for name in (TASKS if "all" in names else dict.fromkeys(names))]


def corpora_of(tasks: Sequence[Task], data: Sequence[str]) -> dict[str, str]:
    """The corpus of every task; raises ConfigError for a task without one and for two.

    `synthetic` is the synthetic corpus that has the labels of the task.  A folder without a
    manifest, with a folder for each task, has a corpus for each.
    """
    of_task = [word for word in data if "=" in word and not Path(word).exists()]
    rest = [word for word in data if word not in of_task]
    named = {name: place for name, _, place in (word.partition("=") for word in of_task)}
    asked = [task.name for task in tasks]
    if unknown := [name for name in named if name not in asked]:
        raise ConfigError(
            f"--data {unknown[0]}=...: not a task to score; tasks: {', '.join(asked)}"
        )
    if len(rest) > 1 or len(named) + len(rest) < len(data):
        raise ConfigError(f"--data {' '.join(data)}: give one corpus for all tasks, or TASK=CORPUS")
    where_of = {}
    for task in tasks:
        place = named.get(task.name, rest[0] if rest else None)
        if place is None:
            raise ConfigError(f"--data has no corpus for {task.name}; give {task.name}=CORPUS")
        own = Path(place) / task.name
        if place == SYNTHETIC:
            place = task.synthetic
        elif own.is_dir() and not (own.parent / MANIFEST_NAME).is_file():
            place = str(own)
        where_of[task.name] = place
    return where_of
