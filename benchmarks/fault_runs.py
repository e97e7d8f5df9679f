"""The corpus and the runs of `faults.py`, and what they print."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from safetensors.numpy import load_file

N_CLIPS = 500
N_STEPS = 24
SETTINGS = (
    *("--device", "cpu", "--set", "train.batch_s=4", "train.crop_s=1"),
    *("train.log_every_steps=1", "train.checkpoint_every_steps=4", "train.machine.workers=0"),
)


@dataclass(frozen=True)
class Place:
    """Where the cases work: a corpus, its units, and a run without faults."""

    folder: Path
    corpus: Path
    units: Path
    whole: Path

    def command(self, out: Path, *settings: str, recipe: str = "hubert-tiny") -> list[str]:
        data = (f"corpus={self.corpus}", f"units={self.units}")
        steps = f"train.optimiser.n_steps={N_STEPS}"
        return ["pretrain", recipe, "--out", str(out), *SETTINGS, *data, steps, *settings]


Result = dict[str, Any]
"""`status`, `said` and others that a user sees, and `checks`: claims with their truth."""


def write_corpus(folder: Path) -> None:
    """Clips of 0.7 to 1.5 s: noise in bands that change, so that it has different units."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(N_CLIPS):
        parts = []
        for _ in range(random.integers(4, 9)):
            noise = np.fft.rfft(random.standard_normal(2800))
            low = int(random.integers(0, 1200))
            noise[:low] = noise[low + 200 :] = 0
            parts.append(np.fft.irfft(noise))
        samples = np.concatenate(parts)
        soundfile.write(folder / f"{i:03d}.flac", 0.3 * samples / abs(samples).max(), 16_000)


def told(errors: str) -> list[str]:
    """Lines on standard error that are not progress and not of torchrun."""
    return [line for line in errors.splitlines() if line.startswith(("earbit:", "skipped:"))]


def same_bits(one: Path, other: Path) -> bool:
    weights, others = (load_file(run / "model.safetensors") for run in (one, other))
    return all(others[name].tobytes() == array.tobytes() for name, array in weights.items())
