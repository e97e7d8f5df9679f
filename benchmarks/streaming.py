"""Cost and memory of a stream against the whole clip in one run.

The rows of both are compared first.  Prints the fewest milliseconds of the CPU per second of audio
of the whole clip, and of streams in chunks of several lengths, each with its ratio and the memory
of the rows that it keeps:

  python benchmarks/streaming.py sparseformer-stream-s --plan fp32 w8a8 w1a1
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from earbit.export.verb import export_model
from earbit.runtime import Session
from earbit.text_table import aligned

RATE_HZ = 16_000


def streamed(session: Session, audio: np.ndarray, chunk: int) -> tuple[np.ndarray, int]:
    """Features of audio in chunks, and the memory of the stream before its end in bytes."""
    stream, rows = session.stream(), []
    for start in range(0, len(audio), chunk):
        stream.accept(audio[start : start + chunk])
        rows.append(stream.frames())
    n_bytes = stream.n_bytes
    stream.finish()
    return np.concatenate([*rows, stream.frames()]), n_bytes


def seconds_of(run: Callable[[], object]) -> float:
    """Time of this thread on the CPU, which other processes disturb less than that of a clock."""
    start = time.thread_time()
    run()
    return time.thread_time() - start


def measured(
    name: str, plan: str, seconds: float, chunks_ms: list[int], n_runs: int
) -> list[dict[str, object]]:
    """A record for the whole clip and one for every length of chunk; runs are in turn."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.safetensors"
        export_model(name, path, plan=plan)
        session = Session(path)
    audio = np.random.default_rng(0).standard_normal(round(seconds * RATE_HZ))
    audio = (0.1 * audio).astype(np.float32)
    whole = session.run(audio)
    runs: dict[str, Callable[[], object]] = {"whole clip": lambda: session.run(audio)}
    kept = {"whole clip": 0}
    for ms in chunks_ms:
        chunk = ms * RATE_HZ // 1000
        rows, n_bytes = streamed(session, audio, chunk)
        if not np.array_equal(rows, whole):
            raise SystemExit(f"{name} {plan}: rows of chunks of {ms} ms differ from the clip's")
        label = f"chunks of {ms} ms"
        runs[label] = lambda chunk=chunk: streamed(session, audio, chunk)
        kept[label] = n_bytes
    times: dict[str, list[float]] = {label: [] for label in runs}
    for _ in range(n_runs):
        for label, run in runs.items():
            times[label].append(1e3 * seconds_of(run) / seconds)
    base = min(times["whole clip"])
    return [
        {
            "model": name,
            "plan": plan,
            "run": label,
            "ms per s": round(min(of_run), 3),
            "ratio": round(min(of_run) / base, 2),
            "kept MB": round(kept[label] / 1e6, 3),
        }
        for label, of_run in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["sparseformer-stream-s"])
    parser.add_argument("--plan", nargs="+", default=["fp32", "w8a8", "w1a1"])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--chunks-ms", type=int, nargs="+", default=[20, 80, 320])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    records = [
        record
        for name in args.models
        for plan in args.plan
        for record in measured(name, plan, args.seconds, args.chunks_ms, args.runs)
    ]
    rows = [tuple(records[0]), *(tuple(map(str, record.values())) for record in records)]
    print("\n".join(aligned(rows)))
    if args.json:
        args.json.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
