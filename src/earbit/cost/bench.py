"""`earbit bench`: measured time and memory of a program, side by side with PyTorch.

The engines take turns, A B A B ..., so that a machine whose speed drifts treats them alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earbit.cost.engine import SAMPLE_RATE_HZ
from earbit.errors import ConfigError
from earbit.nn.front_end import n_frames_of
from earbit.runtime.session import MAX_THREADS, MIN_SAMPLES, Session

N_RUNS = 15
N_WARM_UPS = 2


class _Engine:
    """A child process that runs one engine on demand."""

    def __init__(self, name: str, program: Path, seconds: float, threads: int) -> None:
        self.name = name
        command = [sys.executable, "-m", "earbit.cost.engine", name, str(program)]
        # Some math libraries read these before any of our code runs.
        limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        self._process = subprocess.Popen(
            [*command, str(seconds), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **limits},
        )
        self.ready = self._read()

    def run(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"engine {self.name} ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def bench(
    program: Path, *, seconds: float, threads: int, against: Sequence[str]
) -> list[dict[str, Any]]:
    """Times a program, and PyTorch in full precision with the same shape, on the same audio.

    seconds: length of the audio.  Refuses to time an engine whose output has the wrong shape or is
    not finite (RuntimeError); raises ConfigError for an impossible length or number of threads.
    """
    n_samples = int(seconds * SAMPLE_RATE_HZ)
    if n_samples < MIN_SAMPLES:
        raise ConfigError(f"seconds={seconds}; audio of at least 0.025 s has one frame")
    if not 1 <= threads <= MAX_THREADS:
        raise ConfigError(f"threads={threads}; allowed are 1 to {MAX_THREADS}")
    origin = Session(program).origin
    expected_shape = [n_frames_of(n_samples), origin["config"]["encoder"]["d_model"]]
    engines = [_Engine(name, program, seconds, threads) for name in ("earbit", *against)]
    try:
        for engine in engines:
            if engine.ready["shape"] != expected_shape or not engine.ready["is_finite"]:
                raise RuntimeError(
                    f"engine {engine.name}: output {engine.ready}, expected {expected_shape}"
                )
        for _ in range(N_WARM_UPS):
            for engine in engines:
                engine.run()
        runs = [[engine.run() for engine in engines] for _ in range(N_RUNS)]
    finally:
        for engine in engines:
            engine.close()
    records = []
    for i, engine in enumerate(engines):
        times_ms = np.array([turn[i]["ms"] for turn in runs])
        precision = "+".join(origin["precisions"]) if engine.name == "earbit" else "w32a32"
        records.append(
            {
                "engine": engine.name,
                "precision": precision,
                "threads": threads,
                "seconds": seconds,
                "median_ms": float(np.median(times_ms)),
                "p10_ms": float(np.percentile(times_ms, 10)),
                "p90_ms": float(np.percentile(times_ms, 90)),
                "rtf": float(np.median(times_ms)) / 1e3 / seconds,
                "peak_rss_bytes": max(turn[i]["peak_rss_bytes"] for turn in runs),
            }
        )
    return records


def render_bench(records: Sequence[dict[str, Any]]) -> str:
    """Bench records as a plain table, with the ratio of every engine's time to the first's."""
    lines = [
        f"{'engine':<10}{'precision':<16}{'median ms':>10}{'p10-p90 ms':>18}{'RTF':>9}"
        f"{'peak MB':>9}{'times as slow':>15}"
    ]
    for record in records:
        spread = f"{record['p10_ms']:.1f}-{record['p90_ms']:.1f}"
        ratio = record["median_ms"] / records[0]["median_ms"]
        lines.append(
            f"{record['engine']:<10}{record['precision']:<16}{record['median_ms']:>10.1f}"
            f"{spread:>18}{record['rtf']:>9.4f}{record['peak_rss_bytes'] / 1e6:>9.0f}{ratio:>15.2f}"
        )
    lines.append(
        f"measured: {records[0]['seconds']:g} s of audio, {records[0]['threads']} thread(s), "
        f"median of {N_RUNS} runs in turn; peak memory of the whole process"
    )
    return "\n".join(lines)
