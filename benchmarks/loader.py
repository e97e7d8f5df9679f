"""Audio per second that the loader of a training delivers, beside what hubert-base trains on.

    python benchmarks/loader.py [--corpus DIR] [--minutes 20] [--workers 0 1 2] [--json FILE or -]

The loader decodes, crops and masks the micro-batches of `earbit pretrain hubert-base` (87.5 s each)
in worker processes and does nothing with them.  It reads flac files in folders and the same corpus
as Shar.  By default the corpus is made: clips of 4 to 17 s of noise like speech, in its size as
flac.  Before anything is timed, the first batches of all ways are checked to be the same to the
last bit.  The operating system keeps the files in memory, so a disk may be slower.  The step is a
forward and backward pass of the float model over `--step-s` seconds of the same audio on this CPU.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from earbit.audio.prepare import prepare
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.training_corpus import open_clips
from earbit.load import random_model
from earbit.presets import preset
from earbit.pretrain.checkpoint import Position
from earbit.pretrain.data import MicroBatch, updates_of
from earbit.pretrain.objective import masked_units
from earbit.pretrain.recipe import BASE_TRAINING
from earbit.units.labelled import unlabelled
from report import arguments, goal, in_turn, machine, quartiles, show

GOAL = 20.0
N_CHECKED = 3


def write_corpus(root: Path, minutes: float) -> None:
    """Clips of noise in syllables: about 110 kbit/s as flac, like LibriSpeech."""
    random = np.random.default_rng(0)
    total_s, number = 0.0, 0
    while total_s < 60 * minutes:
        length_s = random.uniform(4, 17)
        t = np.arange(int(length_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        noise = np.convolve(random.standard_normal(t.size), np.ones(8) / 8, "same")
        syllables = 0.02 * noise * np.maximum(0.05, np.sin(2 * np.pi * 2.5 * t))
        path = root / f"{number // 100:03d}" / f"{number:05d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, syllables, SAMPLE_RATE_HZ)
        total_s += length_s
        number += 1


def updates(root: Path, n_workers: int) -> Iterator[list[MicroBatch]]:
    data = unlabelled(open_clips(root))
    made = updates_of(
        data, BASE_TRAINING, Position(0, 0, 0), n_micro=1, needs_units=False, n_workers=n_workers
    )
    with contextlib.closing(made):  # type: ignore[type-var]
        for _, batches in made:
            yield batches


def batches_of(root: Path, n_workers: int, n: int) -> list[MicroBatch]:
    made = updates(root, n_workers)
    found = [batch for batches in itertools.islice(made, n) for batch in batches]
    made.close()  # type: ignore[attr-defined]
    return found


def check(ways: dict[str, tuple[Path, int]]) -> None:
    """The same batches to the last bit, or no time."""
    (_, first), *others = [(name, batches_of(*way, N_CHECKED)) for name, way in ways.items()]
    for name, batches in others:
        for ours, theirs in zip(first, batches, strict=True):
            same = ours.ids == theirs.ids and ours.starts == theirs.starts
            same &= torch.equal(ours.waveforms, theirs.waveforms)
            if not same or not torch.equal(ours.mask_BT, theirs.mask_BT):
                raise SystemExit(f"{name}: another batch than the first way")


def audio_s_per_s(way: tuple[Path, int], seconds: float) -> float:
    """Seconds of audio per second, after the first batch, for which processes start."""
    made = updates(*way)
    next(made)
    start_s, audio_s = time.perf_counter(), 0.0
    while time.perf_counter() - start_s < seconds:
        audio_s += sum(batch.waveforms.numel() for batch in next(made)) / SAMPLE_RATE_HZ
    rate = audio_s / (time.perf_counter() - start_s)
    made.close()  # type: ignore[attr-defined]
    return rate


def step_of(root: Path, step_s: float) -> tuple[Callable[[], Any], float]:
    """A forward and backward pass over a batch of the corpus, and its seconds of audio."""
    model = random_model(dataclasses.replace(preset("hubert-base"), n_units=100), 0).train()
    (batch,) = batches_of(root, 0, 1)
    n_samples = batch.waveforms.shape[1]
    n_rows = max(1, int(step_s * SAMPLE_RATE_HZ / n_samples))
    waveforms, mask_BT = batch.waveforms[:n_rows], batch.mask_BT[:n_rows]
    targets_BT = torch.zeros(mask_BT.shape, dtype=torch.int64)
    objective = masked_units(0.0)

    def step() -> None:
        objective.loss(model, waveforms, mask_BT, targets_BT).total.backward()
        model.zero_grad()

    return step, waveforms.numel() / SAMPLE_RATE_HZ


def main() -> None:
    parser = arguments(__doc__, runs=3)
    parser.add_argument("--corpus", type=Path, help="folder of audio instead of made clips")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--step-s", type=float, default=30.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        files = options.corpus or Path(name) / "files"
        if options.corpus is None:
            write_corpus(files, options.minutes)
        prepare(str(files), Path(name) / "out", tasks={}, shard_mb=20)
        shards = Path(name) / "out" / "shards"
        ways = {
            f"{kind}, {n} workers": (root, n)
            for kind, root in (("flac files", files), ("Shar", shards))
            for n in options.workers
        }
        check(ways)
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.runs):
            for way, place in ways.items():
                rates[way].append(audio_s_per_s(place, options.seconds))
        step, audio_s = step_of(files, options.step_s)
    times = quartiles(in_turn({"step": step}, options.runs)["step"])
    trained = audio_s / (times["median_ms"] / 1e3)
    rows = [
        {"way": way, "audio_s_per_s": float(np.median(values)), "values": values}
        for way, values in rates.items()
    ]
    lines = [
        f"{row['way']:<24} {row['audio_s_per_s']:>7.0f} s of audio per second = "
        f"{row['audio_s_per_s'] / 3600:.3f} hours, {row['audio_s_per_s'] / trained:.0f}x the step"
        for row in rows
    ]
    lines.append(f"hubert-base, step over {audio_s:.1f} s: {trained:.2f} s of audio per second")
    for kind in ("flac files", "Shar"):
        best = max(r["audio_s_per_s"] for r in rows if r["way"].startswith(kind)) / trained
        lines.append(goal(f"{kind}, times the audio of the step >= {GOAL:g}", best, best >= GOAL))
    result = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "rows": rows,
        "step": times | {"audio_s": audio_s, "audio_s_per_s": trained},
    }
    show(result, lines, options.json)


if __name__ == "__main__":
    main()
