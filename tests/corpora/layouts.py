"""Tiny corpora in the layout in which they are distributed, and what is in a folder."""

import functools
import json
import wave

import numpy as np

from earbit.corpora.prepare import prepare_published
from earbit.corpora.table import CORPORA
from earbit.superb.tasks import TASKS
from earbit.superb.work import work_on

RATE_HZ = 16_000
CHECKS = {name: functools.partial(work_on, task) for name, task in TASKS.items()}


def write_wav(path, n_samples=1_600, hz=440.0):
    """A tone of 16 bits, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.3 * np.sin(2 * np.pi * hz * np.arange(n_samples) / RATE_HZ)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((tone * 32_767).astype("<i2"))


def prepared(name, root, out):
    """The report of `earbit prepare`."""
    return prepare_published(CORPORA[name], root, out, tasks=CHECKS)


def manifest(folder):
    """Lines of a manifest by id, without the fields about the file."""
    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    about_file = {"num_samples", "sample_rate", "bytes"}
    return {
        line["id"]: {k: v for k, v in line.items() if k not in {"id", *about_file}}
        for line in map(json.loads, lines)
    }


def found(report):
    """Audio files found by split."""
    return {split: n["found"] for split, n in report["published"]["files"].items()}


def tree(folder):
    """Names and contents of everything in a folder."""
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }
