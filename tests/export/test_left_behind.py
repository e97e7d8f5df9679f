"""Temporary files of killed exports do not stay in output folders."""

import os
import subprocess
import sys

import pytest

from earbit.export.verb import export_model
from earbit.hub.out_folder import written_whole


@pytest.fixture(scope="module")
def ended():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_an_export_removes_the_unverified_program_of_a_killed_one(ended, tmp_path):
    kept = {f".p.{os.getppid()}.unverified.safetensors", f".q.{ended}.unverified.safetensors"}
    for name in (*kept, f".p.{ended}.unverified.safetensors"):
        (tmp_path / name).touch()
    export_model("hubert-tiny", tmp_path / "p.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"p.safetensors", *kept}


def test_a_folder_for_another_program_loses_that_of_a_killed_export(ended, tmp_path):
    for number in (ended, os.getppid()):
        (tmp_path / f".{number}.tmp").mkdir()
        (tmp_path / f".{number}.tmp" / "model.safetensors").touch()
    with written_whole(tmp_path) as folder:
        (folder / "config.json").write_text("{}")
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", f".{os.getppid()}.tmp"}
