"""Two hundred updates of the published protocol of SUPERB, on a generated corpus in its layout.

    python benchmarks/published_protocol.py [--task asr sf] --out DIR [--json FILE]

Words are two tones, one for each letter, so that 200 updates with the published heads and batches
can learn them.  The folders have the layout of LibriSpeech and of Audio SNIPS, and are read by
`earbit prepare`.  Fails unless the error rate of a task is below MOST_ERRORS.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

from report import machine

RATE_HZ = 16_000
LETTER_HZ = {"A": 220, "E": 330, "I": 470, "O": 700, "U": 1100}
LETTER_S = 0.12
N_UPDATES = 200
MODEL = "random:hubert-fbank-tiny"
CORPUS_OF = {"asr": "librispeech", "sf": "audio-snips"}
METRIC_OF = {"asr": "wer", "sf": "slot_value_cer"}
MOST_ERRORS = 0.5


def spoken(word: str) -> np.ndarray:
    """A tone for each letter."""
    t_s = np.arange(int(LETTER_S * RATE_HZ)) / RATE_HZ
    return np.concatenate([0.3 * np.sin(2 * np.pi * LETTER_HZ[letter] * t_s) for letter in word])


def librispeech(root: Path, chance: random.Random) -> None:
    """Words of two letters: SPLIT/SPEAKER/CHAPTER/*.flac and *.trans.txt."""
    parts = {"train-clean-100": range(103, 107), "dev-clean": (1272, 1273), "test-clean": (61, 121)}
    for part, speakers in parts.items():
        for speaker in speakers:
            chapter = root / part / str(speaker) / "7"
            chapter.mkdir(parents=True)
            lines = []
            for i in range(16 if part.startswith("train") else 8):
                word = "".join(chance.choices(list(LETTER_HZ), k=2))
                name = f"{speaker}-7-{i:04d}"
                soundfile.write(chapter / f"{name}.flac", spoken(word), RATE_HZ)
                lines.append(f"{name} {word}\n")
            (chapter / f"{speaker}-7.trans.txt").write_text("".join(lines))


def audio_snips(root: Path, chance: random.Random) -> None:
    """Words of which the second is a slot: {train,valid,test}/*.wav and all.iob.snips.txt."""
    parts = {
        "train": ("Ivy", "Joanna", "Kendra", "Kimberly"),
        "valid": ("Aditi", "Amy"),
        "test": ("Brian", "Emma"),
    }
    lines = []
    for part, speakers in parts.items():
        (root / part).mkdir(parents=True)
        for speaker in speakers:
            for i in range(16 if part == "train" else 8):
                first, second = chance.choices(list(LETTER_HZ), k=2)
                slot = "track" if second in "AEI" else "genre"
                name = f"{speaker}-snips-{part}-{i}"
                lines.append(f"{name} BOS {first} {second} EOS\tO O {slot} PlayMusic\n")
                soundfile.write(root / part / f"{name}.wav", spoken(first + second), RATE_HZ)
    (root / "all.iob.snips.txt").write_text("".join(lines))
    (root / "slots.txt").write_text("O\ntrack\ngenre\n")


def earbit(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "earbit", *arguments], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", nargs="+", choices=CORPUS_OF, default=list(CORPUS_OF))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for task in options.task:
        corpus, raw = options.out / CORPUS_OF[task], options.out / f"{CORPUS_OF[task]}-raw"
        if not corpus.exists():
            shutil.rmtree(raw, ignore_errors=True)  # of an interrupted run
            {"asr": librispeech, "sf": audio_snips}[task](raw, random.Random(0))
            earbit("prepare", CORPUS_OF[task], "--root", str(raw), "--out", str(corpus))
        scored = options.out / task
        start_s = time.perf_counter()
        command = ["superb", MODEL, "--task", task, "--data", str(corpus), "--protocol", "superb"]
        command += ["--n-steps", str(N_UPDATES), "--lrs", "1e-3", "--out", str(scored)]
        earbit(*command)
        score = json.loads((scored / "scores.json").read_text())
        rows.append(
            {
                "task": task,
                "metrics": score["metrics"],
                "protocol": score["protocol"],
                "minutes": round((time.perf_counter() - start_s) / 60, 1),
                "n_train": score["n_train"],
            }
        )
        found = score["metrics"][METRIC_OF[task]]
        if not found < MOST_ERRORS:
            raise SystemExit(f"{task}: {METRIC_OF[task]} is {found}, not below {MOST_ERRORS}")
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    result = {
        "machine": machine(1),
        "command": f"python benchmarks/published_protocol.py --task {' '.join(options.task)}",
        "model": MODEL,
        "n_updates": N_UPDATES,
        "peak_mb": round(peak_mb),
        "rows": rows,
    }
    print(json.dumps(result, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
