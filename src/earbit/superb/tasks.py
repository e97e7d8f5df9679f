"""Table of the SUPERB tasks."""

from __future__ import annotations

from earbit.config import suggest
from earbit.errors import ConfigError
from earbit.superb.ks import KS
from earbit.superb.task import Task

TASKS: dict[str, Task] = {
    "ks": KS,
}


def task_named(name: str) -> Task:
    """Returns the task `name`; raises ConfigError with similar names if it is unknown."""
    if name not in TASKS:
        raise ConfigError(f"unknown task {name!r}{suggest(name, list(TASKS))}")
    return TASKS[name]
