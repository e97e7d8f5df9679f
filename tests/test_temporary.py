"""What killed processes left behind does not stay in output folders."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from earbit.export.verb import export_model
from earbit.hub.out_folder import written_whole
from earbit.temporary import remove_left_behind, temporary_beside

HERE = f"{platform.node()}-{Path('/proc/self/ns/pid').stat().st_ino}"


@pytest.fixture(scope="module")
def ended():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def left_in(folder):
    return {path.name for path in folder.iterdir()}


def test_an_export_removes_the_unverified_program_of_a_killed_one(ended, tmp_path):
    end = "unverified.safetensors"
    kept = {f".p.safetensors.{HERE}.{os.getppid()}.{end}", f".q.safetensors.{HERE}.{ended}.{end}"}
    for name in (*kept, f".p.safetensors.{HERE}.{ended}.{end}"):
        (tmp_path / name).touch()
    export_model("hubert-tiny", tmp_path / "p.safetensors")
    assert left_in(tmp_path) == {"p.safetensors", *kept}


def test_a_folder_for_another_program_loses_that_of_a_killed_export(ended, tmp_path):
    names = {i: f".model.safetensors.{HERE}.{i}.tmp" for i in (ended, os.getppid())}
    for name in names.values():
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").touch()
    with written_whole(tmp_path) as folder:
        (folder / "config.json").write_text("{}")
    assert left_in(tmp_path) == {"config.json", names[os.getppid()]}


@pytest.mark.parametrize(
    "name",
    [
        ".{name}.not-{host}.{ended}.tmp",  # another machine may run a process with this id
        ".{name}.{host}1.{ended}.tmp",  # and another container on this one
        ".{name}.{host}.notes.tmp",
        ".{name}.{host}.{ended}.part",
        ".other.{host}.{ended}.tmp",
        "{name}.{host}.{ended}.tmp",
    ],
)
def test_files_that_are_not_of_an_ended_process_stay(name, ended, tmp_path):
    (there := tmp_path / name.format(name="a[1]", host=HERE, ended=ended)).touch()
    own = temporary_beside(tmp_path / "a[1]")
    assert there.exists()
    assert own.name == f".a[1].{HERE}.{os.getpid()}.tmp"


def test_nothing_is_at_the_path_and_the_ended_process_loses_its_folder(ended, tmp_path):
    for number in (ended, os.getpid()):
        (tmp_path / f".a[1].{HERE}.{number}.tmp" / "deep").mkdir(parents=True)
    assert not temporary_beside(tmp_path / "a[1]").exists()
    assert left_in(tmp_path) == set()


def test_a_pattern_names_several_targets(ended, tmp_path):
    for name in ("synthetic-1", "synthetic-2", "other"):
        (tmp_path / f".{name}.{HERE}.{ended}.tmp").touch()
    remove_left_behind(tmp_path, "synthetic-*")
    assert left_in(tmp_path) == {f".other.{HERE}.{ended}.tmp"}


def test_a_file_that_cannot_be_removed_stays(ended, tmp_path, monkeypatch):
    def refuses(*_, **__):
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refuses)
    (there := tmp_path / f".a.{HERE}.{ended}.tmp").touch()
    temporary_beside(tmp_path / "a")
    assert there.exists()
