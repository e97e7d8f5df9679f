"""Delays Ctrl-C and SIGTERM to the end of a training step, so that a checkpoint can be written."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from earbit.distributed import n_ranks, rank
from earbit.errors import Terminated, terminate

NOTICE = b"\nearbit: stops after this step and writes a checkpoint; Ctrl-C again stops at once\n"
NOTICE_OF_TERM = b"\nearbit: SIGTERM: stops after this step and writes a checkpoint\n"
STDERR = 2
ECHO_S = 1.0
"""torchrun passes the Ctrl-C of a terminal on to ranks that have had it."""


@contextmanager
def delayed_interruption() -> Iterator[Callable[[], int]]:
    """Context in which the first Ctrl-C or SIGTERM is only recorded; yields its number, or 0.

    The second Ctrl-C raises KeyboardInterrupt at once.  A signal whose number nobody has read is
    raised at the end, as KeyboardInterrupt or Terminated.  In threads other than the main one and
    under a signal handler of the caller, nothing changes.
    """
    is_main = threading.current_thread() is threading.main_thread()
    now: dict[int, Any] = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
    }
    defaults = (signal.default_int_handler, signal.SIG_DFL, terminate)
    ours = [number for number, handler in now.items() if is_main and handler in defaults]
    if not ours:
        yield lambda: 0
        return
    asked: list[int] = []
    asked_at_s = 0.0
    is_read = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked_at_s
        if signal.SIGINT in asked and number == signal.SIGINT:
            if n_ranks() == 1 or time.monotonic() - asked_at_s > ECHO_S:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                raise KeyboardInterrupt
            return
        asked_at_s = time.monotonic()
        # torchrun also sends SIGTERM when another rank has died: then there is no next step.
        is_sure = number == signal.SIGINT or n_ranks() == 1
        if not asked and rank() == 0 and is_sure:
            # Not `print`: a handler may run in the middle of another write to this stream.
            os.write(STDERR, NOTICE if number == signal.SIGINT else NOTICE_OF_TERM)
        asked.append(number)

    def seen() -> int:
        nonlocal is_read
        is_read = bool(asked)
        return asked[0] if asked else 0

    for number in ours:
        signal.signal(number, ask)
    try:
        yield seen
    finally:
        for number in ours:
            signal.signal(number, now[number])
    if asked and not is_read:
        raise Terminated if asked[0] == signal.SIGTERM else KeyboardInterrupt
