"""Child processes of `earbit bench`: one runs each engine, another makes its input file."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from earbit.errors import UnsupportedError
from earbit.progress import progress

PAUSE_S = 0.02
"""Pause before a run, because idle threads of the previous engine spin for milliseconds."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process that runs one engine on demand; raises UnsupportedError if it exits early."""

    name: str
    process: subprocess.Popen[str]
    errors: IO[str]

    def run(self) -> dict[str, Any]:
        """Measures one run, after a pause in which the previous engine becomes idle."""
        assert self.process.stdin is not None
        time.sleep(PAUSE_S)
        # If the process has exited, it does not answer either, which is an error below.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("run\n")
            self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Reads the next line: first the ready message, then one line per run."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            raise UnsupportedError(
                f"engine {self.name} ended with status {status}: {_last_line(self.errors)}; "
                "give shorter audio or leave the engine out"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def started(
    engine: str, file: Path, output: Path, *, seconds: float, threads: int, name: str | None = None
) -> Iterator[Child]:
    """Context of a process with an engine and its file loaded.

    output: file for the output of its first run (.npy);  name: for errors, if not `engine`.
    """
    command = [sys.executable, "-m", "earbit.bench.engine", engine, str(file)]
    # Errors go to a file, because a full pipe without a reader would block the child.
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        tempfile.TemporaryDirectory() as cache,
    ):
        process = subprocess.Popen(
            [*command, str(seconds), str(threads), str(output)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=_environment(os.environ, threads, cache),
        )
        try:
            yield Child(name or engine, process, errors)
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError), process:
                pass


def make_file(kind: str, source: Path, out: Path, *, seconds: float) -> None:
    """Makes the input file of an engine. Raises UnsupportedError with the reason if that fails."""
    command = [sys.executable, "-m", "earbit.bench.peers.onnx_model", kind, str(source), str(out)]
    with (
        progress(f"making {kind} for {seconds:g} s", 1),
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        tempfile.TemporaryDirectory() as cache,
    ):
        done = subprocess.run(
            [*command, str(seconds)],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=_environment(os.environ, os.cpu_count() or 1, cache),
            check=False,
        )
        if done.returncode:
            raise UnsupportedError(
                f"{kind} of this model for {seconds:g} s cannot be made "
                f"(status {done.returncode}): {_last_line(errors)}; leave out the engines that "
                "need it"
            )


def _environment(ours: Mapping[str, str], threads: int, cache: str) -> dict[str, str]:
    """Environment of an engine: that of earbit, with limits on threads and files in the home.

    The thread settings of earbit's command line are removed, so that PyTorch is timed at its best.
    """
    kept = {name: value for name, value in ours.items() if name != "GOMP_SPINCOUNT"}
    # Some math libraries read these before any code of earbit runs.
    limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {
        **kept,
        **dict.fromkeys(limits, str(threads)),
        # ONNX Runtime writes a database of telemetry into the user's cache when it is imported.
        "XDG_CACHE_HOME": cache,
        # NNCF and OpenVINO neither send nor store telemetry on a supposed test machine.
        "CI": "true",
        "NNCF_CI": "1",
    }


def _last_line(errors: IO[str]) -> str:
    errors.seek(0)
    return (errors.read().strip().splitlines() or ["it gave no reason"])[-1]
