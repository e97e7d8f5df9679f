"""Two runs never work in one folder at once, and a killed one blocks nobody."""

import errno
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys

import pytest

from earbit.cli.main import main
from earbit.errors import ConfigError, DataError
from earbit.folder_lock import LOCK_NAME, only_process_in

HOLD = """
import sys
from pathlib import Path
from earbit.folder_lock import only_process_in
with only_process_in(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of `run` until its input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        yield process
        process.kill()


def test_the_process_that_works_there_is_named(other, tmp_path):
    wanted = "wait for it to end, or give another --out"
    with pytest.raises(ConfigError, match=wanted) as refused, only_process_in(tmp_path / "run"):
        raise AssertionError
    assert (
        f"{tmp_path / 'run'}: in use by process {other.pid} on {platform.node()}, started 20"
        in (str(refused.value))
    )
    assert (tmp_path / "run" / LOCK_NAME).is_file()  # it is the other's still


def test_a_folder_is_free_once_the_process_has_ended(other, tmp_path):
    other.stdin.close()
    assert other.wait() == 0
    assert not (tmp_path / "run" / LOCK_NAME).exists()
    with only_process_in(tmp_path / "run"):
        pass


def test_a_process_that_was_killed_blocks_nobody(other, tmp_path):
    other.send_signal(signal.SIGKILL)
    other.wait()
    lock = tmp_path / "run" / LOCK_NAME
    assert json.loads(lock.read_text())["pid"] == other.pid
    with only_process_in(tmp_path / "run"):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert not lock.exists()


def test_a_folder_that_stays_empty_is_gone_when_the_work_fails(tmp_path):
    with pytest.raises(DataError), only_process_in(tmp_path / "a" / "run"):
        raise DataError
    assert list(tmp_path.iterdir()) == []
    with only_process_in(tmp_path / "a" / "run"):
        (tmp_path / "a" / "run" / "kept.txt").write_text("x")
    with pytest.raises(DataError), only_process_in(tmp_path / "a" / "run"):
        raise DataError
    assert [path.name for path in (tmp_path / "a" / "run").iterdir()] == ["kept.txt"]


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    """The process before removes its file between our opening it and our locking it."""
    flock, removed = fcntl.flock, []

    def remove_once(descriptor, how):
        if not removed:
            (tmp_path / LOCK_NAME).unlink()
            removed.append(True)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", remove_once)
    with only_process_in(tmp_path):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["pid"] == os.getpid()
        with pytest.raises(ConfigError, match=f"process {os.getpid()} "), only_process_in(tmp_path):
            raise AssertionError


def test_without_locks_in_a_file_system_the_work_is_done_with_a_line(tmp_path, monkeypatch, capsys):
    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with only_process_in(tmp_path / "run"):
        pass
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line
        == f"{tmp_path / 'run'}: no locks there (No locks available); start only one run "
        + ("in it")
    )
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(
    "args",
    [
        ["pretrain", "hubert-tiny"],
        ["quantize", "hubert-tiny"],
        ["superb", "hubert-tiny"],
        ["study"],
    ],
)
def test_every_command_with_a_folder_of_its_own_keeps_to_it(args, other, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main([*args, "--out", str(tmp_path / "run")])
    assert end.value.code == 2
    assert f"in use by process {other.pid} on" in capsys.readouterr().err.splitlines()[-1]
    assert {path.name for path in (tmp_path / "run").iterdir()} == {LOCK_NAME}
