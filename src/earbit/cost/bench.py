"""`earbit bench`: measured time and memory of a program, side by side with PyTorch.

The engines take turns, A B A B ..., so that a machine whose speed drifts treats them alike.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.config import from_dict
from earbit.cost.engine import ENGINES
from earbit.cost.measure import MeasuredTime
from earbit.errors import ConfigError, FormatError, UnsupportedError
from earbit.model import ModelConfig
from earbit.nn.front_end import n_frames_of
from earbit.progress import Advance, progress
from earbit.runtime.session import MAX_SAMPLES, MAX_THREADS, MIN_SAMPLES, Session

OURS = "earbit"
N_RUNS = 15
N_WARM_UPS = 2


@dataclass(frozen=True, slots=True)
class _Engine:
    """A child process that runs one engine on demand; UnsupportedError when it ends by itself."""

    name: str
    process: subprocess.Popen[str]
    errors: IO[str]

    def run(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        # If there is nobody to write to, nobody answers either, and that is an error below.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("run\n")
            self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next line: first that it is ready, then of every run."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            self.errors.seek(0)
            reason = (self.errors.read().strip().splitlines() or ["it gave no reason"])[-1]
            raise UnsupportedError(
                f"engine {self.name} ended with status {status}: {reason}; "
                "give shorter audio or leave the engine out"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def _engine(name: str, program: Path, seconds: float, threads: int) -> Iterator[_Engine]:
    # Some math libraries read these before any of our code runs.
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, "-m", "earbit.cost.engine", name, str(program)]
    # Errors go to a file: of a pipe that nobody reads, a child could wait for ever.
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(
            [*command, str(seconds), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=_as_it_comes(os.environ) | limits,
        )
        try:
            yield _Engine(name, process, errors)
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError), process:
                pass


def _as_it_comes(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what our command line asks of PyTorch's threads: a peer is timed at its best."""
    return {name: value for name, value in environment.items() if name != "GOMP_SPINCOUNT"}


def bench(
    program: Path, *, seconds: float, threads: int, against: Sequence[str]
) -> list[dict[str, Any]]:
    """Times a program, and engines that run a model of its shape in float, on the same audio.

    seconds: length of the audio;  against: names of the other engines.  Raises ConfigError for an
    impossible length, number of threads or engine, FormatError for a program that does not say its
    shape or gives another one or what is not finite, UnsupportedError when an engine fails.
    """
    if not MIN_SAMPLES <= seconds * SAMPLE_RATE_HZ <= MAX_SAMPLES:
        raise ConfigError(f"seconds={seconds}; allowed are 0.025 (one frame) to 14400 (4 h)")
    if not 1 <= threads <= MAX_THREADS:
        raise ConfigError(f"threads={threads}; allowed are 1 to {MAX_THREADS}")
    others = [name for name in ENGINES if name != OURS]
    for name in against:
        if name not in others:
            raise ConfigError(
                f"no engine {name!r} to measure against; allowed: {', '.join(others)}"
            )
    width, precision = _width_and_precision(program)
    names = [OURS, *dict.fromkeys(against)]
    shape = [n_frames_of(int(seconds * SAMPLE_RATE_HZ)), width]
    with contextlib.ExitStack() as stack:
        advance = stack.enter_context(progress("timing", N_WARM_UPS + N_RUNS))
        engines = [stack.enter_context(_engine(n, program, seconds, threads)) for n in names]
        turns = _turns(program, engines, shape, advance)
    records = []
    for name, runs in zip(names, zip(*turns, strict=True), strict=True):
        time = MeasuredTime.of([run["ms"] for run in runs])
        records.append(
            {
                "engine": name,
                "precision": precision if name == OURS else "w32a32",
                "threads": threads,
                "seconds": seconds,
                **asdict(time),
                "rtf": time.median_ms / 1e3 / seconds,
                "peak_rss_bytes": max(run["peak_rss_bytes"] for run in runs),
            }
        )
    return records


def _turns(
    program: Path, engines: Sequence[_Engine], shape: list[int], advance: Advance
) -> list[list[dict[str, Any]]]:
    """What every engine says of every run, turn by turn, warm-ups left out."""
    expected = {"shape": shape, "is_finite": True}
    for engine in engines:
        ready = engine.answer()
        if ready != expected:
            raise FormatError(
                f"{program}: engine {engine.name} gives {ready}, expected {expected}; "
                "export it again"
            )
    turns = []
    for _ in range(N_WARM_UPS + N_RUNS):
        turns.append([engine.run() for engine in engines])
        advance()
    return turns[N_WARM_UPS:]


def _width_and_precision(program: Path) -> tuple[int, str]:
    """Of the model that a program was made from."""
    origin = Session(program).origin
    try:
        config: ModelConfig = from_dict(ModelConfig, origin["config"], where="config")
        return config.encoder.d_model, "+".join(origin["precisions"])
    except (ConfigError, KeyError, TypeError) as error:
        raise FormatError(
            f"{program}: does not say which model it was made from ({error}); export it again"
        ) from error


def render_bench(records: Sequence[dict[str, Any]]) -> str:
    """Bench records as a plain table, with the ratio of every engine's time to the first's."""
    lines = [
        f"{'engine':<10}{'precision':<16}{'median ms':>10}{'p10-p90 ms':>18}{'RTF':>9}"
        f"{'peak MB':>9}{'times as slow':>15}"
    ]
    for record in records:
        spread = f"{record['p10_ms']:.1f}-{record['p90_ms']:.1f}"
        ratio = record["median_ms"] / records[0]["median_ms"]
        lines.append(
            f"{record['engine']:<10}{record['precision']:<16}{record['median_ms']:>10.1f}"
            f"{spread:>18}{record['rtf']:>9.4f}{record['peak_rss_bytes'] / 1e6:>9.0f}{ratio:>15.2f}"
        )
    lines.append(
        f"measured: {records[0]['seconds']:g} s of audio, {records[0]['threads']} thread(s), "
        f"median of {N_RUNS} runs in turn; peak memory of the whole process"
    )
    return "\n".join(lines)
