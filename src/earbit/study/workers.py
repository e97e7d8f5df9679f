"""Processes that run the steps of a study, each one step at a time."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from earbit.errors import terminate
from earbit.progress import send_to
from earbit.study.job import Job, output_to_file, run_job
from earbit.study.outcome import Outcome

THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
KILLED_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
SENT_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Progress:
    """What a running step says about its work."""

    title: str
    done: int
    total: int
    note: str


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Connection
    job: Job | None = None


class Workers:
    """Up to `n_jobs` processes, which are started when there is work and kept."""

    def __init__(self, n_jobs: int, threads: int) -> None:
        self.n_jobs, self.threads = n_jobs, threads
        self._workers: list[_Worker] = []
        self._context = multiprocessing.get_context("spawn")

    @property
    def running(self) -> list[Job]:
        """Jobs that have begun and not ended."""
        return [worker.job for worker in self._workers if worker.job is not None]

    def start(self, job: Job) -> None:
        """Runs a job in an idle process, or in a new one if those that are idle have ended."""
        for worker in [one for one in self._workers if one.job is None]:
            try:
                worker.pipe.send(job)
            except OSError:  # it was killed, perhaps because memory ran out
                self._drop(worker)
                continue
            worker.job = job
            return
        worker = self._new()
        worker.job = job
        with contextlib.suppress(OSError):  # `events` tells how it ended
            worker.pipe.send(job)

    def events(self, timeout_s: float) -> Iterator[tuple[Job, Progress | Outcome]]:
        """What happened: progress, and outcomes of jobs that ended; waits up to `timeout_s`.

        A process that ends unexpectedly is the failure of its job alone.
        """
        busy = {worker.pipe: worker for worker in self._workers if worker.job is not None}
        for pipe in wait(list(busy), timeout_s):
            worker = busy[pipe]  # type: ignore[index]
            job = worker.job
            assert job is not None
            try:
                event = worker.pipe.recv()
            except (EOFError, ConnectionError):
                self._drop(worker)
                yield job, Outcome(state="failed", error=_ended(worker.process.exitcode))
                continue
            if isinstance(event, Outcome):
                worker.job = None
            yield job, event

    def interrupt(self, number: int) -> None:
        """Sends a signal to all busy processes and waits until they have ended.

        A training writes a checkpoint first.  Idle processes end too.
        """
        for worker in self._workers:
            if worker.job is not None and worker.process.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid, number)
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join()
        self._workers.clear()

    def close(self) -> None:
        """Ends all processes, which are idle."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(5.0)
            worker.process.kill()
        self._workers.clear()

    def _drop(self, worker: _Worker) -> None:
        """Forgets a process that has ended."""
        worker.pipe.close()
        worker.process.join()
        self._workers.remove(worker)

    def _new(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, self.threads, os.getpid()), daemon=False
        )
        with _environment(dict.fromkeys(THREAD_SETTINGS, str(self.threads))):
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Context with variables of the environment, which libraries read when they are loaded."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _ended(status: int | None) -> str:
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        return f"its process was ended by {name}; if memory ran out, give fewer --jobs"
    return f"its process ended with status {status}"


def _serve(pipe: Connection, threads: int, parent: int) -> None:
    """Runs the jobs that come through a pipe until it is closed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(KILLED_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    # Ctrl-C of a terminal goes to the whole group; the study passes it on, once.
    os.setpgrp()
    signal.signal(signal.SIGTERM, terminate)
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    sending = threading.Lock()
    is_closed = threading.Event()

    def receive() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                jobs.put(pipe.recv())
        is_closed.set()
        jobs.put(None)  # type: ignore[arg-type]

    def send(event: Any) -> None:
        with sending, contextlib.suppress(OSError):
            pipe.send(event)

    threading.Thread(target=receive, daemon=True).start()
    send_to(_sender(send))
    with contextlib.suppress(KeyboardInterrupt):
        while (job := jobs.get()) is not None:
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(threads)
            with output_to_file(job.folder):
                outcome = run_job(job)
            send(outcome)


def _sender(send: Callable[[Any], None]) -> Callable[[str, int, int, str], None]:
    """Passes progress on, at most every SENT_EVERY_S."""
    sent_s = 0.0

    def report(title: str, done: int, total: int, note: str) -> None:
        nonlocal sent_s
        now_s = time.monotonic()
        if now_s - sent_s >= SENT_EVERY_S:
            sent_s = now_s
            send(Progress(title, done, total, note))

    return report
