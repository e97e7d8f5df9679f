"""Decoding in a thread, so that Ctrl-C ends the wait for it at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def stoppable(work: Callable[[], T]) -> T:
    """Returns the result of `work`, which a daemon thread computes.

    Ctrl-C in a callback of libsndfile is lost, because cffi ignores exceptions of callbacks.  Here
    KeyboardInterrupt is raised at once, and the thread works until it is done or the process ends.
    Where no thread can be started, `work` runs in this one.
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
