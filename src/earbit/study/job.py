"""Runs one step in this process: the work of its stage, its result, and its error."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from earbit.errors import EarbitError
from earbit.files import make_folder
from earbit.study.outcome import Outcome
from earbit.study.step import ERROR_NAME, LOG_NAME, Place, Step, read_result, write_result

DISK_FULL = "No space left on device"
"""Text of the system in an error that every other step would meet too."""


@dataclass(frozen=True, slots=True)
class Job:
    """A step, its folder and the folders of its inputs."""

    step: Step
    place: Place
    needs: Mapping[str, tuple[Step, Place]]
    """By role."""
    function: str
    """Module and name of the function of the stage: `earbit.study.stages.units:run`."""
    threads: int = 1

    @property
    def folder(self) -> Path:
        """Folder of the step."""
        return self.place.folder

    def folder_of(self, role: str) -> Path:
        """Folder of a step that this one needs."""
        return self.needs[role][1].folder

    def result_of(self, role: str) -> dict[str, Any]:
        """Result of a step that this one needs."""
        record = read_result(*self.needs[role])
        assert record is not None
        result: dict[str, Any] = record["result"]
        return result


def run_job(job: Job) -> Outcome:
    """Runs a step and writes its result; any error but an interruption becomes its outcome."""
    start_s = time.monotonic()
    try:
        make_folder(job.folder)
        (job.folder / ERROR_NAME).unlink(missing_ok=True)
        result = _function(job.function)(job)
        wall_s = round(time.monotonic() - start_s, 2)
        write_result(job.step, job.place, result, wall_s)
    except EarbitError as error:
        return Outcome(state="failed", error=str(error), wall_s=time.monotonic() - start_s)
    except MemoryError:
        text = "memory ran out; give fewer --jobs, or a smaller encoder"
        return Outcome(state="failed", error=text, wall_s=time.monotonic() - start_s)
    except Exception as error:
        wall_s = time.monotonic() - start_s
        if isinstance(error, OSError) and error.strerror == DISK_FULL:
            return Outcome(state="failed", error=str(error), wall_s=wall_s)
        return Outcome(state="failed", error=_report(job, error), is_bug=True, wall_s=wall_s)
    return Outcome(state="done", result=result, wall_s=wall_s)


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)


def _report(job: Job, error: Exception) -> str:
    """Writes the traceback of a bug beside the result; returns one line."""
    path = job.folder / ERROR_NAME
    where = ""
    with contextlib.suppress(OSError):
        path.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
        where = f" (traceback: {path})"
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


@contextlib.contextmanager
def output_to_file(folder: Path) -> Iterator[None]:
    """Context in which what this process and its children print goes to a file in the folder."""
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context((make_folder(folder) / LOG_NAME).open("ab"))
        except (OSError, EarbitError):  # the step itself will meet the reason
            yield
            return
        kept = {number: os.dup(number) for number in (1, 2)}
        for number in kept:
            os.dup2(file.fileno(), number)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, before in kept.items():
                os.dup2(before, number)
                os.close(before)
