"""An output folder that cannot be used is refused before any work, and keeps its files."""

import json
import os
import signal
import subprocess
import sys

import pytest
from layouts import prepared, tree, write_wav

from earbit.corpora.prepare import prepare_published
from earbit.corpora.table import CORPORA
from earbit.corpora.write import complete_or_absent
from earbit.errors import ConfigError, DataError
from earbit.temporary import MACHINE


@pytest.fixture
def root(tmp_path):
    write_wav(tmp_path / "given" / "a.wav")
    (tmp_path / "given" / "train.tsv").write_text(".\na.wav\t1600\n")
    return tmp_path / "given"


def test_a_hidden_file_in_out_is_named_before_decoding_and_kept(root, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".DS_Store").write_text("kept")
    with pytest.raises(ConfigError, match=r"has the hidden file .DS_Store; remove it, or give"):
        prepared("tsv", root, tmp_path / "out")
    assert (tmp_path / "out" / ".DS_Store").read_text() == "kept"


def test_an_out_that_cannot_be_written_is_refused_before_decoding(root, tmp_path, monkeypatch):
    def decoded(*args):
        raise AssertionError("decoded")

    monkeypatch.setattr("earbit.corpora.prepare.decoded_levels", decoded)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write there .* give another output folder"):
        prepared("tsv", root, tmp_path / "file" / "out")


def test_a_folder_without_room_for_another_beside_it_keeps_its_files(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".kept").touch()

    def only_parents(path):
        if path != tmp_path:
            raise DataError(f"{path}: cannot write there")

    monkeypatch.setattr("earbit.corpora.write.make_folder", only_parents)
    with pytest.raises(DataError, match="cannot write there"), complete_or_absent(out):
        pass
    assert (out / ".kept").is_file()


KILLED = """
import os, signal, sys
from pathlib import Path
from earbit.corpora import prepare
from earbit.corpora.table import CORPORA
prepare.with_shards = lambda *given, **options: os.kill(os.getpid(), signal.SIGKILL)
root, out = map(Path, sys.argv[1:])
prepare.prepare_published(CORPORA["tsv"], root, out, tasks={}, shard_mb=1)
"""


def test_a_process_that_is_killed_late_leaves_out_free_for_the_next(root, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(root), str(out)]
    ended = subprocess.run(command, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not out.exists()
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")]
    assert len(left) == 1
    (alive := tmp_path / f".out.{MACHINE}.{os.getppid()}.tmp").mkdir()
    (elsewhere := tmp_path / ".out.another-machine.1.tmp").mkdir()
    report = prepare_published(CORPORA["tsv"], root, out, tasks={}, shard_mb=1)
    assert {".lock", "manifest.json", "shards"} & {path.name for path in out.iterdir()} == {
        "manifest.json",
        "shards",
    }
    assert report == json.loads((out / "manifest.json").read_text())
    assert report["shards"]["folder"] == str(out / "shards")
    assert not (tmp_path / left[0]).exists()
    assert alive.is_dir()
    assert elsewhere.is_dir()


def test_a_failure_in_the_last_file_leaves_nothing(root, tmp_path, monkeypatch):
    def fails(*given):
        raise DataError("the disk is full")

    monkeypatch.setattr("earbit.corpora.prepare.write_json", fails)
    before = tree(tmp_path)
    with pytest.raises(DataError, match="the disk is full"):
        prepared("tsv", root, tmp_path / "out")
    assert tree(tmp_path) == before


def test_no_text_of_a_report_names_the_temporary_folder(root, tmp_path):
    def refuse(corpus):
        raise DataError(f"{corpus.root}: has no labels")

    out = tmp_path / "out"
    report = prepare_published(CORPORA["tsv"], root, out, tasks={"ks": refuse})
    assert report["tasks_without_labels"] == {"ks": f"{out}: has no labels"}
    assert ".tmp" not in (out / "manifest.json").read_text()
