"""Measured time and memory, in types and columns of their own, separate from estimates."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_STATUS = Path("/proc/self/status")
_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredTime:
    """Wall time per call over all runs."""

    median_ms: float
    p10_ms: float
    p90_ms: float

    @staticmethod
    def of(times_ms: Sequence[float]) -> MeasuredTime:
        """Summarises at least one run, with linearly interpolated quantiles."""
        p10, median, p90 = map(float, np.percentile(times_ms, (10, 50, 90)))
        return MeasuredTime(median_ms=median, p10_ms=p10, p90_ms=p90)


def peak_rss_bytes() -> int:
    """Peak memory of this process; measure each engine in its own process.

    On Linux it is VmHWM, because the figure of getrusage includes the peak of the parent process.
    """
    if _STATUS.exists():
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
        if peaks:
            return peaks[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def pin_to_cores(n_threads: int) -> None:
    """Pins this process to as many processors as it has threads, on distinct cores first.

    The choice is deterministic, so that alternating engines run on the same cores.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    seen: set[str] = set()
    firsts: list[int] = []
    others: list[int] = []
    for processor in sorted(os.sched_getaffinity(0)):
        siblings = Path(_SIBLINGS.format(processor))
        core = siblings.read_text(encoding="ascii") if siblings.exists() else str(processor)
        (others if core in seen else firsts).append(processor)
        seen.add(core)
    os.sched_setaffinity(0, [*firsts, *others][:n_threads])
