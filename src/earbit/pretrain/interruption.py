"""Delays Ctrl-C to the end of a training step, so that a checkpoint can be written."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

NOTICE = b"\nearbit: stops after this step and writes a checkpoint; Ctrl-C again stops at once\n"
STDERR = 2


@contextmanager
def delayed_interruption() -> Iterator[Callable[[], bool]]:
    """Context in which the first Ctrl-C is only recorded; yields whether there was one.

    The second Ctrl-C raises KeyboardInterrupt at once.  In threads other than the main one and
    under a signal handler of the caller, nothing changes.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    asked = threading.Event()

    def ask(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        asked.set()
        # Not `print`: a handler may run in the middle of another write to this stream.
        os.write(STDERR, NOTICE)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
