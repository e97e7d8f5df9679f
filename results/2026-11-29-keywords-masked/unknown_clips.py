"""Adds seconds of other speech as `_unknown_` to the training and validation parts of a corpus.

    python unknown_clips.py KS COLLECTION OUT

KS: a corpus of keywords from `earbit prepare collection`;  COLLECTION: the folder that it was made
from;  OUT: a copy of KS with 670 and 115 clips more.  Clips whose text has a keyword are left out.
"""

import json
import random
import shutil
import sys
from pathlib import Path

import soundfile

KEYWORDS = {"DOWN", "GO", "LEFT", "NO", "OFF", "ON", "RIGHT", "STOP", "UP", "YES"}
N_SAMPLES = 16000
N_TRIED = 8
NUMBERS = {
    "speechocean762": {"train": 420, "valid": 70},
    "picovoice_barista": {"train": 150, "valid": 25},
    "picovoice_wakewords": {"train": 100, "valid": 20},
}


def loudest_second(wave, rng):
    """The loudest of eight random seconds, which is seldom silence."""
    starts = [rng.randrange(len(wave) - N_SAMPLES + 1) for _ in range(N_TRIED)]
    seconds = [wave[start : start + N_SAMPLES] for start in starts]
    return max(seconds, key=lambda second: float((second**2).mean()))


def main(words: Path, collection: Path, out: Path) -> None:
    """Writes the corpus."""
    shutil.copytree(words, out)
    (out / "unknown").mkdir()
    rng = random.Random(0)
    lines = []
    for corpus, numbers in NUMBERS.items():
        text = (collection / corpus / "manifest.jsonl").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        for part, n_wanted in numbers.items():
            usable = [
                row
                for row in rows
                if row["split"] == part
                and row["num_samples"] >= N_SAMPLES
                and not KEYWORDS & set((row.get("text") or "").upper().split())
            ]
            rng.shuffle(usable)
            for row in usable[:n_wanted]:
                wave, _ = soundfile.read(collection / corpus / row["path"], dtype="float32")
                name = f"unknown/{corpus}_{row['id']}"
                soundfile.write(out / f"{name}.flac", loudest_second(wave, rng), 16000, "PCM_16")
                speaker = row.get("speaker") or row.get("pseudo_speaker")
                lines.append(
                    {
                        "id": name,
                        "path": f"{name}.flac",
                        "speaker": f"{corpus}-{speaker}",
                        "keyword": "_unknown_",
                        "split": part,
                        "num_samples": N_SAMPLES,
                        "sample_rate": 16000,
                    }
                )
    with (out / "manifest.jsonl").open("a", encoding="utf-8") as manifest:
        manifest.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
