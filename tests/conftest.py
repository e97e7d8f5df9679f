"""Fixtures of all tests, and the order of files."""

from pathlib import Path

import pytest

from melodies import write_melodies
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
