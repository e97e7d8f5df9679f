"""Time and size of programs for the same audio, measured in turn on one thread.

    python benchmarks/program_times.py NAME=FILE... [--seconds 10] [--runs 30] [--json FILE]

Values are the least milliseconds of CPU time.  The features of every run must be equal to those of
a run with two threads.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

import report
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.runtime.session import Session


def main() -> None:
    parser = report.arguments(__doc__)
    parser.add_argument("programs", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    paths = {name: Path(path) for name, _, path in (p.partition("=") for p in options.programs)}
    n_samples = round(options.seconds * SAMPLE_RATE_HZ)
    audio = (0.1 * np.random.default_rng(0).standard_normal(n_samples)).astype(np.float32)
    sessions = {name: Session(path) for name, path in paths.items()}
    expected = {name: Session(path, threads=2).run(audio) for name, path in paths.items()}
    times: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(options.runs):
        for name, session in sessions.items():
            start = time.thread_time()
            features = session.run(audio)
            times[name].append(1e3 * (time.thread_time() - start))
            if not np.array_equal(features, expected[name]):
                raise SystemExit(f"{name}: features differ from those with two threads")
    records = [
        {"program": name, "ms": round(min(times[name]), 2), "bytes": paths[name].stat().st_size}
        for name in paths
    ]
    lines = [
        f"{record['program']:20} {record['ms']:8.2f} ms {record['bytes'] / 1e6:7.2f} MB"
        for record in records
    ]
    unit = f"least CPU ms of {options.runs} runs for {options.seconds:g} s of audio, one thread"
    result = {"machine": report.machine(1), "unit": unit, "rows": records}
    report.show(result, lines, options.json)


if __name__ == "__main__":
    main()
