"""Runs all points of `earbit bench`, and keeps finished points on errors and interruptions."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from earbit import _core
from earbit.bench.engine import OURS
from earbit.bench.peers.catalogue import versions
from earbit.bench.points import Point
from earbit.bench.side_by_side import bench
from earbit.bench.table import line_of, render_bench
from earbit.progress import say
from earbit.runtime.doctor import cpu_name


def bench_all(
    programs: Mapping[str, Path],
    points: Sequence[Point],
    keep: Callable[[str, dict[str, Any]], None],
    *,
    model: Path | None,
    engines: Sequence[str],
    n_runs: int | None = None,
    scores: Mapping[str | None, Mapping[str, Any]] | None = None,
) -> None:
    """Runs `bench` at every point, ordered by length, and passes the results to `keep`.

    keep: called once, with a table and with machine, versions and records; after an error or an
    interruption, with the finished points if there are any.  With several points, each is printed
    when it is finished.  scores: of programs by plan, and of the model in float by None, which
    engines in float32 get too.  Other arguments and errors are those of `bench`.
    """
    found_here = {"machine": machine(), "versions": versions()}
    records: list[dict[str, Any]] = []
    n_done = 0
    try:
        for _, group in groupby(points, lambda point: point.seconds):
            with tempfile.TemporaryDirectory() as folder:
                for point in group:
                    found = bench(
                        programs,
                        seconds=point.seconds,
                        threads=point.threads,
                        engines=engines,
                        model=model,
                        folder=Path(folder),
                        n_runs=n_runs,
                    )
                    for record in found if scores else ():
                        record["scores"] = _scores_of(record, scores or {})
                    records += found
                    n_done += 1
                    if len(points) > 1:
                        say(f"{n_done} of {len(points)} points measured: {point}")
                        for record in found:
                            say(f"  {line_of(record)}")
    finally:
        if n_done < len(points):
            say(f"ended early: {n_done} of {len(points)} points are measured and reported")
        if records:
            counts = {"points": n_done, "points_asked_for": len(points)}
            keep(render_bench(records), {**found_here, **counts, "records": records})


def _scores_of(
    record: Mapping[str, Any], scores: Mapping[str | None, Mapping[str, Any]]
) -> Mapping[str, Any]:
    if record["engine"] == OURS:
        return scores.get(record["plan"] or "", {})
    return scores.get(None, {}) if record["precision"] == "fp32" else {}


def machine() -> dict[str, Any]:
    """Description and current load of the machine."""
    return {
        "cpu": cpu_name(),
        "isa": _core.isa(),
        "processors": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
    }
