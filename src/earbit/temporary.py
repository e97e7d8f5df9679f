"""Temporary files and folders whose names hold their process, so that a later one removes them."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
import shutil
from pathlib import Path

SUFFIX = ".tmp"


def _machine() -> str:
    try:
        return f"{platform.node()}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return platform.node()


MACHINE = _machine()
"""Name of the set of process ids that this process belongs to: a container has its own."""


def temporary_beside(target: Path, suffix: str = SUFFIX) -> Path:
    """A hidden path next to `target` with the name of the machine and the id of this process.

    What this process left there is removed, and so is what killed processes of this machine left.
    """
    own = target.with_name(f".{target.name}.{MACHINE}.{os.getpid()}{suffix}")
    _remove(own)
    remove_left_behind(target.parent, glob.escape(target.name), suffix)
    return own


def remove_left_behind(folder: Path, pattern: str, suffix: str = SUFFIX) -> None:
    """Removes what killed processes of this machine left behind.

    pattern: of the names of targets, as for `Path.glob`.  What cannot be removed stays, such as
    files of another user.
    """
    of_machine = f".{MACHINE}."
    for path in folder.glob(f".{pattern}{glob.escape(of_machine)}*{glob.escape(suffix)}"):
        _, _, process_id = path.name.removesuffix(suffix).rpartition(of_machine)
        if _has_ended(process_id):
            _remove(path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _has_ended(process_id: str) -> bool:
    """Whether a part of a file name is the id of a process of this machine that has ended."""
    if not process_id.isdecimal():
        return False
    try:
        os.kill(int(process_id), 0)  # sends nothing
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False  # a process of another user, or too large for an id
    return False
