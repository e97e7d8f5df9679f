"""Waits for work of compiled code in such a way that Ctrl-C ends the wait at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def stoppable(work: Callable[[], T]) -> T:
    """Returns the result of `work`, which a daemon thread computes.

    Python handles Ctrl-C between calls only, and a call of the core may take minutes.  In callbacks
    of libsndfile, it is lost.  Here KeyboardInterrupt is raised at once, and the thread computes
    until the process ends.  So only a command that then ends may use this.  Where no thread can be
    started, `work` runs in this one.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    is_done = threading.Event()

    def compute() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        is_done.set()

    try:
        threading.Thread(target=compute, daemon=True).start()
    except RuntimeError:  # the limit of threads is reached
        return work()
    is_done.wait()
    if errors:
        raise errors[0]
    return results[0]
