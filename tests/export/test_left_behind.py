"""Temporary files of killed exports do not stay in output folders."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from earbit.export.out_file import MIN_AGE_S, remove_left_behind
from earbit.export.verb import export_model
from earbit.hub.out_folder import written_whole


@pytest.fixture(scope="module")
def ended():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def make_old(path):
    long_ago = time.time() - MIN_AGE_S - 60
    os.utime(path, (long_ago, long_ago))


def test_an_export_removes_the_unverified_program_of_a_killed_one(ended, tmp_path):
    kept = {f".p.{os.getppid()}.unverified.safetensors", f".q.{ended}.unverified.safetensors"}
    for name in (*kept, f".p.{ended}.unverified.safetensors"):
        (tmp_path / name).touch()
        make_old(tmp_path / name)
    export_model("hubert-tiny", tmp_path / "p.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"p.safetensors", *kept}


def test_a_folder_for_another_program_loses_that_of_a_killed_export(ended, tmp_path):
    for number in (ended, os.getppid()):
        (tmp_path / f".{number}.tmp").mkdir()
        (tmp_path / f".{number}.tmp" / "model.safetensors").touch()
        make_old(tmp_path / f".{number}.tmp")
    with written_whole(tmp_path) as folder:
        (folder / "config.json").write_text("{}")
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", f".{os.getppid()}.tmp"}


def test_a_young_file_stays_since_its_process_may_be_on_another_machine(ended, tmp_path):
    for name in (f".{ended}.tmp", f".0{ended}.tmp"):
        (tmp_path / name).touch()
    make_old(tmp_path / f".0{ended}.tmp")
    remove_left_behind(tmp_path, ".", ".tmp")
    assert [path.name for path in tmp_path.iterdir()] == [f".{ended}.tmp"]


def test_a_file_that_cannot_be_removed_stays(ended, tmp_path, monkeypatch):
    def refuses(*_, **__):
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refuses)
    (tmp_path / f".{ended}.tmp").touch()
    make_old(tmp_path / f".{ended}.tmp")
    remove_left_behind(tmp_path, ".", ".tmp")
    assert [path.name for path in tmp_path.iterdir()] == [f".{ended}.tmp"]
