"""What every benchmark says beside its figures, and how it times: engines in turn, quartiles."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

try:
    from earbit import _core
    from earbit.runtime.doctor import cpu_name
except ImportError:  # a GPU needs no compiled core to train
    _core = None

HERE = Path(__file__).parent
MIN_RUNS = 30


def arguments(doc: str, *, runs: int = MIN_RUNS) -> argparse.ArgumentParser:
    """The options that benchmarks share."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the result there; - is stdout")
    return parser


def machine(threads: int) -> dict[str, Any]:
    """Where and from what a result comes."""
    return {
        "cpu": platform.machine() if _core is None else cpu_name(),
        "isa": "none" if _core is None else _core.isa(),
        "threads": threads,
        "load_average": round(os.getloadavg()[0], 2),
        "compiler": first_line(compiler() or "c++", "--version"),
        "commit": first_line("git", "describe", "--always", "--dirty"),
    }


def compiler() -> str | None:
    return os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")


def first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.splitlines()[0] if done.stdout else "unknown"


def in_turn(engines: Mapping[str, Callable[[], Any]], n_runs: int) -> dict[str, list[float]]:
    """Milliseconds of every run of every engine; they take turns, one run of each warms up."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    for run in range(n_runs + 1):
        for name, call in engines.items():
            start_s = time.perf_counter()
            call()
            if run:
                times[name].append(1e3 * (time.perf_counter() - start_s))
    return times


def quartiles(values_ms: list[float]) -> dict[str, float]:
    """Median and the quarters around it."""
    low, median, high = statistics.quantiles(values_ms, n=4)
    return {"median_ms": median, "p25_ms": low, "p75_ms": high, "n_runs": len(values_ms)}


def goal(what: str, figure: float, is_reached: bool) -> str:
    """A line that says whether a goal was reached, and by which figure."""
    return f"goal: {what}: {figure:.3g}, {'reached' if is_reached else 'MISSED'}"


def show(result: dict[str, Any], lines: list[str], where: Path | None) -> None:
    """Prints lines for people, or the JSON; a path gets the JSON and stdout the lines."""
    if str(where) == "-":
        print(json.dumps(result, indent=1))
        return
    print("\n".join([f"{name}: {value}" for name, value in result["machine"].items()] + lines))
    if where is not None:
        where.write_text(json.dumps(result, indent=1) + "\n")
