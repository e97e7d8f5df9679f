"""Audio that is quick to make and quick to learn."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from package_copy import package_copy

__all__ = ["package_copy"]

# These begin first, so that no worker is left alone with one of them at the end.
LONG_FILES = (
    "runtime/test_fuzz.py",
    "study/test_study.py",
    "quantize/test_quantize_verb.py",
    "pretrain/test_pretrain_verb.py",
    "bench/test_peers.py",
    "quantize/test_leaves.py",
    "runtime/test_avx512_emulated.py",
    "runtime/test_random_shapes.py",
    "cli/test_run_and_bench.py",
    "cost/test_paper.py",
    "cost/test_figure.py",
)


def pytest_collection_modifyitems(items):
    def rank(item):
        name = item.path.relative_to(Path(__file__).parent).as_posix()
        return LONG_FILES.index(name) if name in LONG_FILES else len(LONG_FILES)

    items.sort(key=rank)


PITCHES_HZ = (300.0, 700.0, 1500.0, 3100.0)
NOTE_SAMPLES = 3200


def melody(seed: int, n_notes: int = 10) -> np.ndarray:
    """Notes of 0.2 s in a little noise: what a frame sounds like is plain from the frame."""
    random = np.random.default_rng(seed)
    pitches = random.choice(PITCHES_HZ, n_notes)
    t = np.arange(NOTE_SAMPLES) / 16_000
    wave = np.concatenate([0.2 * np.sin(2 * np.pi * hz * t) for hz in pitches])
    return (wave + 0.005 * random.standard_normal(wave.size)).astype(np.float32)


def write_melodies(folder, seeds) -> None:
    for i in seeds:
        soundfile.write(folder / f"m{i:02d}.wav", melody(i), 16_000)


@pytest.fixture(scope="session")
def melodies(tmp_path_factory):
    """A folder of 24 clips of 2 s, without labels."""
    folder = tmp_path_factory.mktemp("melodies")
    write_melodies(folder, range(24))
    return folder


@pytest.fixture
def other_melodies(tmp_path):
    """Twelve other clips of the same kind."""
    folder = tmp_path / "other-melodies"
    folder.mkdir()
    write_melodies(folder, range(100, 112))
    return folder
