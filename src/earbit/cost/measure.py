"""Measured time and memory; neither shares a type or a column with anything estimated."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from earbit.errors import ConfigError

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredTime:
    """Wall time of one call, over all runs."""

    median_ms: float
    p10_ms: float
    p90_ms: float
    n_runs: int


def measure(
    fn: Callable[[], object],
    *,
    min_runs: int = 5,
    min_seconds: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
) -> MeasuredTime:
    """Calls `fn` once to warm up, then until both limits are reached.

    min_seconds: sum of the measured runs;  clock: seconds, from anywhere.
    Raises ConfigError for fewer than one run or a limit of time that is not a number.
    """
    if min_runs < 1 or not 0 <= min_seconds < float("inf"):
        raise ConfigError(
            f"min_runs={min_runs}, min_seconds={min_seconds}; give at least 1 run and 0 s or more"
        )
    fn()
    times_s: list[float] = []
    total_s = 0.0
    while len(times_s) < min_runs or total_s < min_seconds:
        start_s = clock()
        fn()
        times_s.append(clock() - start_s)
        total_s += times_s[-1]
    return MeasuredTime(
        median_ms=1e3 * statistics.median(times_s),
        p10_ms=1e3 * _quantile(times_s, 0.1),
        p90_ms=1e3 * _quantile(times_s, 0.9),
        n_runs=len(times_s),
    )


def peak_rss_bytes() -> int:
    """The most memory that this process has held at once; measure an engine in its own process.

    On Linux it is VmHWM: the figure of getrusage starts at the peak of whoever started the process.
    """
    if _STATUS.exists():
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
        if peaks:
            return peaks[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _quantile(values: list[float], share: float) -> float:
    """Linear between the two nearest ranks."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
