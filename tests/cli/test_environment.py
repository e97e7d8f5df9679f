"""Bare environments: no PATH, no home, no name of the user, closed streams."""

import getpass
import os
import subprocess
import sys
from pathlib import Path

import pytest

from earbit.cli.environment import complete_environment


def test_a_command_with_a_corpus_needs_no_path(tmp_path):
    # lhotse is imported when a corpus is opened.
    command = [sys.executable, "-m", "earbit", "prepare", "folder", "--root", str(tmp_path)]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path / "nonexistent")},
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"earbit: {tmp_path}: no usable audio")


@pytest.fixture
def nobody(monkeypatch):
    """A user id without an entry in the password database, in an empty environment."""
    for name in tuple(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "getuid", lambda: 54_321)


def test_a_user_without_an_entry_has_a_home_and_a_name(nobody):
    with pytest.raises((RuntimeError, KeyError)):
        Path.home()
    complete_environment()
    assert Path.home() == Path("/")
    assert getpass.getuser() == "54321"
    assert os.environ["PATH"]


def test_what_is_set_stays(nobody, monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("PATH", "/bin")
    complete_environment()
    assert (os.environ["HOME"], os.environ["PATH"]) == ("/somewhere", "/bin")


def test_a_known_user_keeps_the_home_of_the_password_database(monkeypatch):
    monkeypatch.delenv("HOME")
    home = Path.home()
    complete_environment()
    assert "HOME" not in os.environ
    assert Path.home() == home


@pytest.mark.skipif(sys.platform != "linux", reason="closes streams as a shell does")
def test_closed_streams_are_no_error():
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        done = subprocess.run(
            ["sh", "-c", f'"$0" -m earbit bench nowhere {closed}', sys.executable],
            capture_output=True,
        )
        assert done.returncode == 2
        assert b"Traceback" not in done.stderr
