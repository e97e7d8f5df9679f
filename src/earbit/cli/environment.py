"""Environment variables that libraries require."""

from __future__ import annotations

import os
import pwd
import threading

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def complete_environment() -> None:
    """Sets PATH, HOME and USER if they are missing, and one thread where no other can be started.

    lhotse reads PATH when it is imported; `Path.home()` and `getpass.getuser()` fail for a user id
    without an entry in the password database, as containers have.
    """
    os.environ.setdefault("PATH", os.defpath)
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        os.environ.setdefault("HOME", "/")
        os.environ.setdefault("USER", str(os.getuid()))
    if not _can_start_threads():
        # OpenBLAS would raise SIGINT in this process, which ends it as Ctrl-C does.
        for name in THREAD_VARIABLES:
            os.environ.setdefault(name, "1")


def _can_start_threads() -> bool:
    """Whether as many threads as cores can be started, which the limit of a user may forbid."""
    ended = threading.Event()
    threads = [threading.Thread(target=ended.wait) for _ in range(os.cpu_count() or 1)]
    started = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
    except RuntimeError:
        return False
    finally:
        ended.set()
        for thread in started:
            thread.join()
    return True
