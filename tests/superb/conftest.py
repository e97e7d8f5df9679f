"""Clips whose features are made up, so that what a head can learn is known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from earbit.audio.splits import Splits
from earbit.heads.example import Example
from earbit.superb import rejection
from earbit.upstream.features import FrozenFeatures

CLASSES = ("down", "left", "up")
N_STATES, WIDTH = 3, 8
NOTES_HZ = {"low": 250, "mid": 1_000, "high": 3_500}


def examples(prefix, n_per_class):
    return tuple(
        Example(id=f"{prefix}-{name}-{i}", target=name, speaker=f"{prefix}-{i}")
        for name in CLASSES
        for i in range(n_per_class)
    )


def splits():
    return Splits(train=examples("train", 8), valid=examples("valid", 4), test=examples("test", 5))


def everything(splits):
    return (*splits.train, *splits.valid, *splits.test)


def separable(splits):
    """State 1 holds the class as a direction under a little noise; the others are noise alone."""
    rng = np.random.default_rng(0)
    clips = {}
    for example in everything(splits):
        n_frames = int(rng.integers(2, 12))
        clip = 0.2 * rng.normal(size=(N_STATES, n_frames, WIDTH)).astype(np.float32)
        clip[1, :, CLASSES.index(example.target)] += 1.0
        clips[example.id] = clip
    return frozen(clips)


def constant(splits):
    return frozen({e.id: np.ones((N_STATES, 4, WIDTH), np.float32) for e in everything(splits)})


def frozen(clips):
    return FrozenFeatures(
        clips=clips, n_states=N_STATES, width=WIDTH, model_digest="m", corpus_digest="c"
    )


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Heads this small are faster on one thread, the more so when tests run side by side."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module", autouse=True)
def _noises():
    """Every score of keywords would compute features of 320 clips of noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rejection, "N_NOISES", {"train": 24, "valid": 8, "test": 8})
        yield


@pytest.fixture(scope="session")
def toy():
    return SimpleNamespace(
        splits=splits,
        examples=examples,
        everything=everything,
        separable=separable,
        constant=constant,
        frozen=frozen,
    )


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """A corpus of three notes, and four speakers with one clip of each."""
    root = tmp_path_factory.mktemp("notes")
    lines = []
    for speaker, split in {"a": "train", "b": "train", "c": "valid", "d": "test"}.items():
        for word, hz in NOTES_HZ.items():
            t_s = np.arange(6_400) / 16_000
            soundfile.write(
                root / f"{speaker}-{word}.wav", 0.3 * np.sin(2 * np.pi * hz * t_s), 16_000
            )
            fields = {"speaker": speaker, "keyword": word, "split": split}
            lines.append({"path": f"{speaker}-{word}.wav", **fields})
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root
