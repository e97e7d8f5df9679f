"""Number of processor cores of this process, by its affinity and the CPU quota of its cgroup."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def usable_cores(root: str | os.PathLike[str] = "/") -> int:
    """Usable cores by affinity and cgroup quota, rounded up.

    root: folder that contains /proc and /sys.
    """
    quota = cpu_quota(root)
    allowed = affinity_cores()
    return allowed if quota is None else min(allowed, max(1, math.ceil(quota)))


def affinity_cores() -> int:
    """Number of cores in the affinity of this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(root: str | os.PathLike[str] = "/") -> float | None:
    """CPU quota of the cgroup in cores; None without a limit.

    Reads cgroup version 2 (`cpu.max`) and 1 (`cpu.cfs_quota_us`).  The smallest limit of the group
    and its parent groups applies.
    """
    limits = [limit for folder in _groups(Path(root)) if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """Folders of the cgroups that may limit the CPU time of this process, innermost first."""
    mounts = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if number == "0" and not controllers:
            tops = [mounts, mounts / "unified"]
        elif "cpu" in controllers.split(","):
            tops = [mounts / controllers, mounts / "cpu"]
        else:
            continue
        # In a container the path may be that of the host, of which only the root exists.
        inner = PurePosixPath("/", path).relative_to("/")
        for top in tops:
            yield from (top / part for part in (inner, *inner.parents))


def _limit(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _text(folder / "cpu.cfs_quota_us").strip()
        period = _text(folder / "cpu.cfs_period_us").strip()
    if not (quota.isdecimal() and period.isdecimal()) or not int(quota) or not int(period):
        return None  # "max" and -1 mean no limit
    return int(quota) / int(period)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
