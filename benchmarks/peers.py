"""Our programs beside PyTorch, ONNX Runtime and OpenVINO: where we win and where we lose.

    python benchmarks/peers.py [--presets hubert-base ...] [--plans w1a1 ...] [--engines all]
        [--seconds 1 10 60] [--threads 1 2] [--json FILE]

The outputs are held against PyTorch's before anything is timed; see `earbit bench`.  Every point
(a preset, a length, a number of threads) is written when it is measured: the same call again goes
on with those that are missing, on the same machine with the same versions.  A point that failed is
tried again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from earbit.bench.engine import OURS
from earbit.bench.peers.catalogue import peers_named, versions
from earbit.bench.quiet import warn_of_disturbance
from earbit.bench.side_by_side import bench
from earbit.bench.table import render_bench
from earbit.errors import ConfigError, EarbitError, FormatError, UnsupportedError
from earbit.export.verb import export_model
from earbit.files import write_json
from earbit.load import preset_or_model
from earbit.model_file import save_model
from earbit.progress import say
from report import HERE, goal, machine

PRESETS = (
    "hubert-base",
    "conformer-s",
    "squeezeformer-xs",
    "sparseformer-dn-s",
    "sparseformer-sw-s",
)
"""`hubert-large` is one more for a machine with memory and time: --presets hubert-large."""
PLANS = ("fp32", "w8a8", "w1a1-encoder", "w1a1-frontend8", "w1a1-frontend4", "w1a1")
FLOAT_GOAL = 1.3
"""Our float program's time over ONNX Runtime's at most, for hubert-base and 10 s."""

Point = tuple[str, float, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--plans", nargs="+", default=PLANS)
    parser.add_argument("--engines", nargs="+", default=["all"])
    parser.add_argument("--seconds", nargs="+", type=float, default=[1.0, 10.0, 60.0])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    parser.add_argument("--json", type=Path, default=HERE / "reports" / f"peers-{today}.json")
    options = parser.parse_args()
    try:
        result = measure(
            options.json,
            presets=options.presets,
            plans=options.plans,
            engines=options.engines,
            seconds=options.seconds,
            threads=options.threads,
        )
    except EarbitError as error:
        raise SystemExit(f"peers.py: {error}") from None
    print("\n".join(tables(result)))


def measure(
    report: Path,
    *,
    presets: Sequence[str],
    plans: Sequence[str],
    engines: Sequence[str],
    seconds: Sequence[float],
    threads: Sequence[int],
) -> dict[str, Any]:
    """Measures what the report does not have, and writes it point by point."""
    peers = peers_named(engines)
    result = begun(report, {"plans": list(plans), "engines": peers})
    warn_of_disturbance(threads)
    done = {point_of(point) for point in result["points"] if "records" in point}
    for name in presets:
        missing = [s for s in seconds if any((name, s, t) not in done for t in threads)]
        if not missing:
            continue
        with tempfile.TemporaryDirectory() as folder:
            programs, refused = exported(name, plans, Path(folder))
            result["refused"][name] = refused
            for length_s in missing:
                with tempfile.TemporaryDirectory() as files:
                    for n_threads in threads:
                        if (name, length_s, n_threads) in done:
                            continue
                        point: dict[str, Any] = {
                            "preset": name,
                            "seconds": length_s,
                            "threads": n_threads,
                            "load_average": round(os.getloadavg()[0], 2),
                        }
                        try:
                            point["records"] = bench(
                                programs,
                                seconds=length_s,
                                threads=n_threads,
                                engines=peers,
                                model=Path(folder) / "model.safetensors",
                                folder=Path(files),
                            )
                            say(f"{name}\n{render_bench(point['records'])}")
                        except (UnsupportedError, FormatError) as error:
                            point["error"] = str(error)
                            say(f"{name}, {length_s:g} s, {n_threads} thread(s): {error}")
                        others = [p for p in result["points"] if point_of(p) != point_of(point)]
                        result["points"] = [*others, point]
                        write_json(report, result)
    return result


def begun(report: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The report as it lies there, or a new one; ConfigError when it is of something else."""
    now = {
        "settings": settings,
        "versions": versions(),
        "machine": machine(threads=0),
        "refused": {},
        "points": [],
    }
    # Threads and load are those of a point, not of all.
    for varying in ("threads", "load_average"):
        del now["machine"][varying]
    if not report.exists():
        return now
    before: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    changed = [key for key in ("settings", "versions", "machine") if before.get(key) != now[key]]
    if changed:
        raise ConfigError(
            f"{report}: measured with other {', '.join(changed)}; give another file by --json"
        )
    return before


def exported(name: str, plans: Sequence[str], folder: Path) -> tuple[dict[str, Path], dict]:
    """Programs by plan, and why others are refused; the float model lies beside them."""
    programs, refused = {}, {}
    save_model(preset_or_model(name, 0), folder / "model.safetensors", {})
    for plan in plans:
        path = folder / f"{plan}.safetensors"
        try:
            export_model(name, path, plan=plan, seed=0)
            programs[plan] = path
        except UnsupportedError as error:
            refused[plan] = str(error)
    return programs, refused


def point_of(point: dict[str, Any]) -> Point:
    return point["preset"], point["seconds"], point["threads"]


def tables(result: dict[str, Any]) -> Iterator[str]:
    """Two markdown tables: how many times faster, and slower, we are than the best peer."""
    plans = result["settings"]["plans"]
    points = sorted((p for p in result["points"] if "records" in p), key=point_of)
    for title, wanted in (("win: times as fast", True), ("lose: times as slow", False)):
        yield f"Where we {title} as the best peer"
        yield ""
        yield f"| model | seconds | threads | best peer | ms | {' | '.join(plans)} |"
        yield "|---" * (5 + len(plans)) + "|"
        for point in points:
            peers = [r for r in point["records"] if r["engine"] != OURS]
            if not peers:
                continue
            best = min(peers, key=lambda record: record["median_ms"])
            ours = {r["plan"]: r["median_ms"] for r in point["records"] if r["engine"] == OURS}
            cells = [cell(ours.get(plan), best["median_ms"], wanted) for plan in plans]
            if set(cells) - {"", "-"}:
                yield (
                    f"| {point['preset']} | {point['seconds']:g} | {point['threads']} | "
                    f"{best['engine']} | {best['median_ms']:.1f} | {' | '.join(cells)} |"
                )
        yield ""
    for name, refused in result["refused"].items():
        yield from (f"- `{name}` under `{plan}`: {reason}" for plan, reason in refused.items())
    for point in result["points"]:
        if "error" in point:
            yield f"- not measured: {point_of(point)}: {point['error']}"
    yield from float_goal(points)


def cell(ours_ms: float | None, best_ms: float, is_win: bool) -> str:
    """A ratio above one where this table has it, nothing where the other has, - where refused."""
    if ours_ms is None:
        return "-"
    if (ours_ms < best_ms) is not is_win:
        return ""
    return f"{best_ms / ours_ms if is_win else ours_ms / best_ms:.2f}"


def float_goal(points: Sequence[dict[str, Any]]) -> Iterator[str]:
    for point in points:
        times = {r["plan"] or r["engine"]: r["median_ms"] for r in point["records"]}
        is_asked = (point["preset"], point["seconds"]) == ("hubert-base", 10)
        if is_asked and {"fp32", "onnxruntime"} <= times.keys():
            ratio = times["fp32"] / times["onnxruntime"]
            what = f"fp32 over ONNX Runtime, {point['threads']} thread(s), <= {FLOAT_GOAL}"
            yield goal(what, ratio, ratio <= FLOAT_GOAL)


if __name__ == "__main__":
    main()
