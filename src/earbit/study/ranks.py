"""A study under torchrun: all ranks share the pre-trainings, and rank 0 runs everything else."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from earbit.distributed import first
from earbit.errors import EarbitError
from earbit.files import make_folder
from earbit.progress import say
from earbit.study.job import Job
from earbit.study.outcome import Outcome
from earbit.study.overview import duration, figures_of
from earbit.study.schedule import EVENT_EVERY_S
from earbit.study.step import Place, Step, in_order, read_result, write_result
from earbit.study.workers import Workers

TOGETHER = ("units", "units2", "pretrain", "pretrain2")
"""Stages whose work the ranks share."""


def run_in_ranks(
    steps: Sequence[Step],
    places: Mapping[str, Place],
    function_of: Callable[[str], str],
    found: dict[str, Outcome],
    threads: int,
) -> None:
    """Runs the steps one after the other; all ranks must call it.

    A step that fails leaves those that do not need it, as in `run_graph`.  Steps of rank 0 run in
    another process, which is no rank, because trainings in it must not wait for the others.
    """
    workers = Workers(1, threads)
    try:
        _run_all(steps, places, function_of, found, workers)
    except KeyboardInterrupt:
        workers.interrupt(signal.SIGTERM)
        raise
    finally:
        workers.close()


def _run_all(
    steps: Sequence[Step],
    places: Mapping[str, Place],
    function_of: Callable[[str], str],
    found: dict[str, Outcome],
    workers: Workers,
) -> None:
    by_id = {step.id: step for step in steps}
    for number, step in enumerate(in_order(steps), start=1):
        place = places[step.id]
        lost = [i for i in step.needs.values() if found[i].state != "done"]
        if lost:
            found[step.id] = Outcome(state="not run", error=f"needs {lost[0]}, which failed")
            continue
        record = first(lambda step=step, place=place: read_result(step, place))  # type: ignore[misc]
        if record is not None:
            found[step.id] = Outcome(
                state="done", result=record["result"], wall_s=record["wall_s"], is_old=True
            )
            continue
        say(f"[{number} of {len(steps)}] {step.id}")
        needs = {role: (by_id[i], places[i]) for role, i in step.needs.items()}
        job = Job(step, place, needs, function_of(step.stage), workers.threads)
        together = step.stage in TOGETHER
        found[step.id] = _together(job) if together else first(lambda job=job: _apart(job, workers))  # type: ignore[misc]
        say(f"  {_shown(step, found[step.id])}")


def _apart(job: Job, workers: Workers) -> Outcome:
    """Runs a step in another process."""
    workers.start(job)
    while True:
        for _, event in workers.events(EVENT_EVERY_S):
            if isinstance(event, Outcome):
                return event


def _together(job: Job) -> Outcome:
    """Runs a step on all ranks; rank 0 writes its result."""
    start_s = time.monotonic()
    module, _, name = job.function.partition(":")
    try:
        first(lambda: make_folder(job.folder) and None)
        result = getattr(import_module(module), name)(job)
        wall_s = time.monotonic() - start_s
        first(lambda: write_result(job.step, job.place, result, wall_s))
    except EarbitError as error:
        return Outcome(state="failed", error=str(error), wall_s=time.monotonic() - start_s)
    return Outcome(state="done", result=result, wall_s=wall_s)


def _shown(step: Step, outcome: Outcome) -> str:
    if outcome.state != "done":
        return f"{outcome.state}: {outcome.error}"
    return f"{duration(outcome.wall_s or 0.0)} {figures_of(step, outcome.result or {})}"
