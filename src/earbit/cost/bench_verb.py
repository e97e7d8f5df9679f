"""Every length and number of threads of `earbit bench`: a table for people, JSON for programs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit import _core
from earbit.cost.bench import bench
from earbit.cost.engine import OURS
from earbit.cost.peers.catalogue import peers_named, versions
from earbit.progress import progress
from earbit.runtime.doctor import cpu_name
from earbit.text_table import aligned

HEADER = (
    "engine",
    "precision",
    "seconds",
    "threads",
    "median ms",
    "p10-p90 ms",
    "RTF",
    "peak MB",
    "cosine",
    "times as slow",
)


def bench_all(
    programs: Mapping[str, Path],
    *,
    model: Path | None,
    seconds: Sequence[float],
    threads: Sequence[int],
    engines: Sequence[str],
) -> tuple[str, dict[str, Any]]:
    """`bench` for every length and number of threads: text, and machine, versions and records.

    Arguments and errors are those of `bench`; engines that are not installed are left out.
    """
    peers = peers_named(engines)
    lengths_s, counts = dict.fromkeys(seconds), dict.fromkeys(threads)
    records: list[dict[str, Any]] = []
    with progress("points", len(lengths_s) * len(counts)) as advance:
        for length_s in lengths_s:
            with tempfile.TemporaryDirectory() as folder:
                for n_threads in counts:
                    records += bench(
                        programs,
                        seconds=length_s,
                        threads=n_threads,
                        engines=peers,
                        model=model,
                        folder=Path(folder),
                    )
                    advance()
    result = {"machine": machine(), "versions": versions(), "records": records}
    return render_bench(records), result


def machine() -> dict[str, Any]:
    """On what was measured, and how busy it is now."""
    return {
        "cpu": cpu_name(),
        "isa": _core.isa(),
        "processors": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def label_of(record: Mapping[str, Any]) -> str:
    """The name of a record in a table: a peer, or our program by its plan."""
    return f"{OURS} {record['plan']}" if record["plan"] else str(record["engine"])


def render_bench(records: Sequence[dict[str, Any]]) -> str:
    """Records as a plain table, with the ratio of every time to that of its point's first."""
    rows: list[Sequence[str]] = [HEADER]
    first: dict[tuple[float, int], float] = {}
    for record in records:
        point = (record["seconds"], record["threads"])
        base_ms = first.setdefault(point, record["median_ms"])
        cosine = record["cosine"]
        rows.append(
            (
                label_of(record),
                record["precision"],
                f"{record['seconds']:g}",
                str(record["threads"]),
                f"{record['median_ms']:.1f}",
                f"{record['p10_ms']:.1f}-{record['p90_ms']:.1f}",
                f"{record['rtf']:.4f}",
                f"{record['peak_rss_bytes'] / 1e6:.0f}",
                "-" if cosine is None else f"{cosine:.5f}",
                f"{record['median_ms'] / base_ms:.2f}",
            )
        )
    runs = sorted({record["n_runs"] for record in records})
    n_runs = str(runs[0]) if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    return "\n".join(
        [
            *aligned(rows),
            f"measured: median of {n_runs} runs in turn; peak memory of the whole process; cosine: "
            "of the output with PyTorch's in float32",
        ]
    )
