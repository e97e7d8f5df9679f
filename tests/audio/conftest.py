"""Sound whose content is known, written by libsndfile or byte by byte."""

import json

import numpy as np
import pytest
import soundfile

RATE_HZ = 16_000


@pytest.fixture
def tone():
    """A second of a 440 Hz sine at 16 kHz, float32."""
    return sine(RATE_HZ, RATE_HZ)


@pytest.fixture
def write_corpus(tmp_path):
    """Writes a folder with `n` tones and a manifest; returns the folder and its records."""

    def write(n=3, folder="corpus", n_samples=RATE_HZ, **labels):
        root = tmp_path / folder
        root.mkdir()
        records = []
        for i in range(n):
            soundfile.write(root / f"{i}.flac", sine(n_samples, RATE_HZ, 200 + 50 * i), RATE_HZ)
            records.append(
                {
                    "id": f"clip{i}",
                    "path": f"{i}.flac",
                    "sample_rate": RATE_HZ,
                    "num_samples": n_samples,
                    **labels,
                }
            )
        write_manifest(root, records)
        return root, records

    return write


def sine(n_samples, rate_hz, frequency_hz=440.0):
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(n_samples) / rate_hz)).astype("f4")


def write_manifest(root, records):
    """Records are objects, or lines as they are."""
    lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
    (root / "manifest.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
