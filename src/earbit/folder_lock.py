"""A lock that allows one process at a time in the folder of a run."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

from earbit.errors import ConfigError
from earbit.files import make_folder, none_left_empty
from earbit.progress import say

LOCK_NAME = ".lock"


@contextlib.contextmanager
def only_process_in(folder: Path) -> Iterator[None]:
    """Context that creates and locks a folder; removes a new one that a failure leaves empty.

    The lock is the kernel's (`flock`), so it ends with the process.
    Raises ConfigError that names the process holding it, and DataError if it is not writable.
    """
    with none_left_empty(folder):
        path = make_folder(folder) / LOCK_NAME
        descriptor = _lock(path)
        try:
            yield
        finally:
            # Removed before unlocking: a process that has opened it then sees that it is gone.
            with contextlib.suppress(OSError):
                path.unlink()
            if descriptor is not None:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # even if a forked child has it open
                os.close(descriptor)


def _lock(path: Path) -> int | None:
    """Descriptor of the locked file, or None if the file system has no locks."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise ConfigError(
                f"{path}: cannot be opened ({error.strerror}); give another --out"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise ConfigError(
                f"{path.parent}: in use by {holder}; wait for it to end, or give another --out"
            ) from None
        except OSError as error:  # NFS without its lock daemon, some FUSE file systems
            os.close(descriptor)
            say(f"{path.parent}: no locks there ({error.strerror}); start only one run in it")
            return None
        if _is_at(path, descriptor):
            who = {"host": platform.node(), "pid": os.getpid(), "started": _now()}
            try:
                os.ftruncate(descriptor, 0)
                os.write(descriptor, json.dumps(who).encode())
            except OSError as error:
                path.unlink(missing_ok=True)
                os.close(descriptor)
                raise ConfigError(
                    f"{path}: cannot be written ({error.strerror}); give another --out"
                ) from error
            return descriptor
        os.close(descriptor)  # the previous process has removed it


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    """Description of the process that holds a lock."""
    try:
        who = json.loads(os.read(descriptor, 4096))
        return f"process {who['pid']} on {who['host']}, started {who['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"  # it has not written its id yet


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
