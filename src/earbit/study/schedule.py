"""Scheduler of a study: reads finished steps, and runs the others in order of priority."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Protocol

from earbit.errors import Terminated
from earbit.study.job import DISK_FULL, Job
from earbit.study.outcome import Outcome
from earbit.study.step import Place, Step, read_result
from earbit.study.workers import Progress

EVENT_EVERY_S = 0.5
"""Longest pause between two looks at the running steps."""


class Runner(Protocol):
    """Runs jobs: `Workers`, or a stand-in in tests."""

    @property
    def n_jobs(self) -> int:
        """Number of jobs that may run at a time."""

    @property
    def running(self) -> Sequence[Job]:
        """Jobs that have begun and not ended."""

    def start(self, job: Job) -> None:
        """Begins a job."""

    def events(self, timeout_s: float) -> Iterable[tuple[Job, Progress | Outcome]]:
        """Progress and outcomes of running jobs."""

    def interrupt(self, number: int) -> None:
        """Ends all jobs by a signal, after what they save then."""


class Watcher(Protocol):
    """Is told what happens, and shows it."""

    def began(self, step: Step) -> None:
        """A step begins."""

    def moved(self, step: Step, progress: Progress) -> None:
        """A running step says how far it is."""

    def ended(self, step: Step, outcome: Outcome) -> None:
        """A step is done, was done before, or has failed."""

    def tick(self) -> None:
        """Called at least every EVENT_EVERY_S."""


def run_graph(
    steps: Sequence[Step],
    places: Mapping[str, Place],
    function_of: Callable[[str], str],
    runner: Runner,
    watcher: Watcher,
    found: dict[str, Outcome],
) -> None:
    """Runs the steps that have no result, and adds the outcome of every step to `found`.

    function_of: name of a stage -> function of `Job`.  Of the steps that can begin, the one with
    the longest way to the end is first, and those that measure times are last and alone.  A step
    that needs a failed one is not run.  A full disk ends the study, because every step would fail.
    After Ctrl-C or SIGTERM running trainings write checkpoints, and the interruption is raised.
    """
    by_id = {step.id: step for step in steps}
    urgency = urgencies(steps)
    sorter = TopologicalSorter({step.id: step.needs.values() for step in steps})
    sorter.prepare()
    waiting: list[Step] = []
    failed: dict[str, str] = {}
    """Failed steps and those after them, with the step that failed."""
    is_full = False
    try:
        while sorter.is_active():
            for name in sorter.get_ready():
                step = by_id[name]
                cause = next((failed[i] for i in step.needs.values() if i in failed), None)
                outcome = _before(step, places, cause)
                if outcome is None:
                    waiting.append(step)
                    continue
                if cause is not None:
                    failed[name] = cause
                sorter.done(name)
                found[name] = outcome
                watcher.ended(step, outcome)
            waiting.sort(key=lambda step: (step.is_alone, -urgency[step.id]))
            while not is_full and waiting and _may_begin(waiting[0], runner):
                step = waiting.pop(0)
                watcher.began(step)
                runner.start(_job(step, by_id, places, function_of))
            if is_full and not runner.running:
                return
            if not runner.running:
                continue
            watcher.tick()
            for job, event in runner.events(EVENT_EVERY_S):
                if isinstance(event, Progress):
                    watcher.moved(job.step, event)
                    continue
                if event.state == "failed":
                    failed[job.step.id] = job.step.id
                    is_full = is_full or DISK_FULL in (event.error or "")
                sorter.done(job.step.id)
                found[job.step.id] = event
                watcher.ended(job.step, event)
    except KeyboardInterrupt as end:
        runner.interrupt(signal.SIGTERM if isinstance(end, Terminated) else signal.SIGINT)
        raise


def _before(step: Step, places: Mapping[str, Place], cause: str | None) -> Outcome | None:
    """The outcome of a step that need not or cannot run, else None."""
    if cause is not None:
        return Outcome(state="not run", error=f"needs {cause}, which failed")
    record = read_result(step, places[step.id])
    if record is None:
        return None
    return Outcome(state="done", result=record["result"], wall_s=record.get("wall_s"), is_old=True)


def _may_begin(step: Step, runner: Runner) -> bool:
    running = runner.running
    if any(job.step.is_alone for job in running):
        return False
    return not running if step.is_alone else len(running) < runner.n_jobs


def _job(
    step: Step,
    by_id: Mapping[str, Step],
    places: Mapping[str, Place],
    function_of: Callable[[str], str],
) -> Job:
    needs = {role: (by_id[i], places[i]) for role, i in step.needs.items()}
    return Job(step, places[step.id], needs, function_of(step.stage))


def urgencies(steps: Sequence[Step]) -> dict[str, float]:
    """Estimated time from the beginning of a step to the end of the longest chain behind it."""
    by_id = {step.id: step for step in steps}
    longest: dict[str, float] = dict.fromkeys(by_id, 0.0)
    """Of what follows."""
    needs = {s.id: [i for i in s.needs.values() if i in by_id] for s in steps}
    for name in reversed(list(TopologicalSorter(needs).static_order())):
        for other in needs[name]:
            longest[other] = max(longest[other], longest[name] + by_id[name].estimate_s)
    return {name: longest[name] + step.estimate_s for name, step in by_id.items()}
