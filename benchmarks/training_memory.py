"""Resident memory of `earbit pretrain` at 1,000 hours beside that at 10 hours.

    python benchmarks/training_memory.py [--clips 2800 280000] [--steps 20] [--json FILE or -]

A corpus is a manifest of many lines over 300 files with random labels, so it has the ids, paths and
units of a large corpus on a small disk.  Both trainings use `hubert-tiny`, whose small memory makes
the share of the corpus large.  Memory is read from outside, from the kernel, until the process
ends: of the training, the most that it had after its first step, and the most since its start,
which includes the time in which the corpus was opened.  The memory of its worker process is a line
of its own: it shares most pages with the training.  Linux alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from earbit.audio.training_corpus import open_clips
from earbit.units.labels import LabelHeader, UnitLabels
from report import arguments, goal, machine, show

N_FILES = 300
N_UNITS = 100
GOAL = 1.10


def write_corpus(root: Path, n_clips: int) -> None:
    random = np.random.default_rng(0)
    (root / "audio").mkdir(parents=True)
    sizes = []
    for i in range(N_FILES):
        path = root / "audio" / f"{i:03d}.flac"
        n_samples = int(random.integers(12_000, 20_000))
        soundfile.write(path, random.uniform(-0.1, 0.1, n_samples), 16_000)
        sizes.append((n_samples, path.stat().st_size))
    with (root / "manifest.jsonl").open("w") as file:
        for i in range(n_clips):
            n_samples, n_bytes = sizes[i % N_FILES]
            line = {
                "id": f"{i // 100:04d}-{i * 7919 % 100_003:06d}-{i:06d}",
                "path": f"audio/{i % N_FILES:03d}.flac",
                "num_samples": n_samples,
                "sample_rate": 16_000,
                "bytes": n_bytes,
                "speaker": f"{i // 100}",
                "text": f"A SENTENCE THAT SOMEBODY READS ALOUD {i * 31_337 % 100_003}",
            }
            file.write(json.dumps(line) + "\n")


def write_units(root: Path, folder: Path) -> None:
    """Random units of every clip."""
    random = np.random.default_rng(1)
    corpus = open_clips(root)
    header = LabelHeader("given", None, 50.0, N_UNITS, "random", corpus.digest)
    rows = {
        clip.id: random.integers(N_UNITS, size=round(clip.n_samples / 320), dtype=np.int32)
        for clip in (*corpus.train, *corpus.valid)
    }
    folder.mkdir()
    UnitLabels(header, rows).save(folder / "labels.safetensors")


def memory_of(folder: Path, n_steps: int) -> dict[str, Any]:
    """Peaks in MB of a training on the corpus and the units in a folder."""
    settings = {
        "corpus": folder / "corpus",
        "units": folder / "units",
        "train.batch_s": 6,
        "train.crop_s": 1,
        "train.log_every_steps": 1,
        # The run is ended before its last step, after which it validates.
        "train.optimiser.n_steps": 10 * n_steps,
        "train.validate_every_steps": 1_000_000,
        "train.machine.workers": 1,
        "train.machine.keep_in_memory_gb": 0,
    }
    out = folder / "run"
    command = [sys.executable, "-m", "earbit", "pretrain", "hubert-tiny", "--out", str(out)]
    command += [word for k, v in settings.items() for word in ("--set", f"{k}={v}")]
    peak = {"training_mb": 0.0, "worker_mb": 0.0}
    start_s = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        while run.poll() is None:
            lines = (out / "log.jsonl").read_text() if (out / "log.jsonl").exists() else ""
            if lines.count("\n") == n_steps:
                opened = status(run.pid)
                run.kill()
                run.wait()
            elif lines:
                peak["training_mb"] = max(peak["training_mb"], status(run.pid).get("VmRSS", 0.0))
                for child in children(run.pid):
                    size = status(child).get("RssAnon", 0.0)
                    peak["worker_mb"] = max(peak["worker_mb"], size)
            time.sleep(0.02)
        assert run.stderr is not None
        if run.returncode != -9:
            raise SystemExit(run.stderr.read().decode())
    return peak | {"peak_mb": opened["VmHWM"], "seconds": time.perf_counter() - start_s}


def status(pid: int) -> dict[str, float]:
    """Sizes in MB of a process; none if it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return {}
    return {name: int(kb) / 1000 for name, kb in re.findall(r"(\w+):\s+(\d+) kB", text)}


def children(pid: int) -> Iterator[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return
    yield from map(int, text.split())


def main() -> None:
    parser = arguments(__doc__, runs=1)
    parser.add_argument("--clips", type=int, nargs=2, default=[2_800, 280_000])
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    rows = []
    for n_clips in options.clips:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_corpus(folder / "corpus", n_clips)
            write_units(folder / "corpus", folder / "units")
            rows.append({"n_clips": n_clips} | memory_of(folder, options.steps))
    lines = [
        f"{row['n_clips']:>9,} clips: training {row['training_mb']:.0f} MB, with its start "
        f"{row['peak_mb']:.0f} MB; own memory of its worker {row['worker_mb']:.0f} MB"
        for row in rows
    ]
    for name in ("training_mb", "peak_mb"):
        ratio = rows[1][name] / rows[0][name]
        lines.append(goal(f"{name}, large / small <= {GOAL}", ratio, ratio <= GOAL))
    show({"machine": machine(1), "n_steps": options.steps, "rows": rows}, lines, options.json)


if __name__ == "__main__":
    main()
