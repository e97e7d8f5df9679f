"""Stages that take no time, for tests of the graph; the functions of `Step.stage` by name."""

import os
import signal
from pathlib import Path

from earbit.errors import DataError


def add(job):
    """The sum of a setting and of what it needs; counts its runs."""
    count = job.folder / "runs.txt"
    count.write_text(str(int(count.read_text()) + 1 if count.exists() else 1))
    return {"value": job.step.settings.get("value", 0) + sum(map(of(job), job.needs))}


def of(job):
    return lambda role: job.result_of(role)["value"]


def user_error(job):
    raise DataError("the corpus is silent; record it again")


def bug(job):
    raise RuntimeError("a bug\nof two lines")


def disk_full(job):
    raise OSError(28, "No space left on device", str(job.folder / "x"))


def killed(job):
    os.kill(os.getpid(), signal.SIGKILL)


def hangs_once(job):
    """Runs until it is interrupted; the second time it ends."""
    import time

    began = Path(job.step.inputs["began"])
    if began.exists():
        return {"value": 1}
    began.touch()
    time.sleep(60)
    return {"value": 0}


def function_of(stage):
    return f"fake_stages:{stage}"
