"""Table of the SUPERB tasks."""

from __future__ import annotations

from earbit.config import suggest
from earbit.errors import ConfigError
from earbit.superb.asr import ASR
from earbit.superb.asv import ASV
from earbit.superb.er import ER
from earbit.superb.ic import IC
from earbit.superb.ks import KS
from earbit.superb.pr import PR
from earbit.superb.qbe import QBE
from earbit.superb.sd import SD
from earbit.superb.sf import SF
from earbit.superb.sid import SID
from earbit.superb.task import Task

TASKS: dict[str, Task] = {task.name: task for task in (PR, ASR, KS, QBE, SID, ASV, SD, IC, SF, ER)}


def task_named(name: str) -> Task:
    """Returns the task `name`; raises ConfigError with similar names if it is unknown."""
    if name not in TASKS:
        raise ConfigError(f"unknown task {name!r}{suggest(name, list(TASKS))}")
    return TASKS[name]
