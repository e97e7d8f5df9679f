"""Points of `earbit bench`: lengths of audio and numbers of threads, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import ConfigError
from earbit.frames import MIN_SAMPLES
from earbit.runtime.arguments import MAX_THREADS
from earbit.runtime.waveform import MAX_SAMPLES

MAX_RUNS = 10_000


@dataclass(frozen=True, slots=True)
class Point:
    """A point at which all programs and engines are measured; ConfigError for an invalid one."""

    seconds: float
    threads: int

    def __post_init__(self) -> None:
        if not MIN_SAMPLES <= self.seconds * SAMPLE_RATE_HZ <= MAX_SAMPLES:
            raise ConfigError(f"seconds={self.seconds}; allowed: 0.025 (one frame) to 14400 (4 h)")
        if not 1 <= self.threads <= MAX_THREADS:
            raise ConfigError(f"threads={self.threads}; allowed: 1 to {MAX_THREADS}")

    def __str__(self) -> str:
        return f"{self.seconds:g} s, {self.threads} thread{'s' if self.threads > 1 else ''}"


def points_of(seconds: Sequence[float], threads: Sequence[int]) -> list[Point]:
    """All distinct pairs of length and number of threads, ordered by length."""
    for option, values in (("--seconds", seconds), ("--threads", threads)):
        if not values:
            raise ConfigError(f"{option} without a number; give one or several")
    return list(dict.fromkeys(Point(s, t) for s in seconds for t in threads))


def check_runs(n_runs: int | None) -> None:
    """Raises ConfigError for an invalid number of runs."""
    if n_runs is not None and not 1 <= n_runs <= MAX_RUNS:
        raise ConfigError(f"runs={n_runs}; allowed: 1 to {MAX_RUNS}")
