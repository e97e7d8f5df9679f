"""Progress of long work: a bar on a terminal, plain lines elsewhere, always on standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Protocol

from earbit.terminal import printable

if TYPE_CHECKING:
    from rich.progress import Progress

SHOWN_AFTER_S = 2.0
PLAIN_LINE_EVERY_S = 10.0
BAR_DRAWN_EVERY_S = 0.5
"""More frequent updates would disturb the measurements of `bench`."""


class Advance(Protocol):
    """Reports that work went on."""

    def __call__(self, n: int = 1, note: str = "") -> None:
        """`n` more units of work are done; `note` is shown beside them."""


def say(line: str) -> None:
    """One plain line to the person who waits; what would control a terminal is escaped."""
    print(printable(line), file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Shows how far work of `total` units has come; nothing is shown for work under two seconds.

    A line is due even while a single unit takes long, so that nobody takes the work for dead.
    Where no thread can be started, it is shown as units are done.
    """
    shown: _Bar | _PlainLines
    shown = (_Bar if sys.stderr.isatty() else _PlainLines)(printable(title), total, done)
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(shown, ended), daemon=True)
    try:
        watcher.start()
        is_watched = True
    except RuntimeError:  # the limit of threads is reached
        is_watched = False
    try:
        yield shown if is_watched else _Unwatched(shown)
    finally:
        if is_watched:
            ended.set()
            watcher.join()
        shown.close()


def _watch(shown: _Bar | _PlainLines, ended: threading.Event) -> None:
    wait_s = SHOWN_AFTER_S
    while not ended.wait(wait_s):
        shown.show()
        wait_s = shown.every_s()


class _Unwatched:
    """Shows work that has no thread to show it, whenever a unit is done and it is due."""

    def __init__(self, shown: _Bar | _PlainLines) -> None:
        self.shown = shown
        self.due_s = time.monotonic() + SHOWN_AFTER_S

    def __call__(self, n: int = 1, note: str = "") -> None:
        self.shown(n, note)
        if time.monotonic() >= self.due_s:
            self.shown.show()
            self.due_s = time.monotonic() + self.shown.every_s()


class _Bar:
    """A row of the one display that rich allows at a time; work within work adds a row to it."""

    display: ClassVar[Progress | None] = None

    def __init__(self, title: str, total: int, done: int) -> None:
        self.is_outermost = _Bar.display is None
        self.bars = _Bar.display = _Bar.display or _new_display()
        self.row = self.bars.add_task(title, total=total, completed=done, note="", visible=False)

    def __call__(self, n: int = 1, note: str = "") -> None:
        self.bars.update(self.row, advance=n, note=printable(note))

    def show(self) -> None:
        self.bars.update(self.row, visible=True)
        self.bars.start()
        self.bars.refresh()

    def every_s(self) -> float:
        return BAR_DRAWN_EVERY_S

    def close(self) -> None:
        if self.is_outermost:
            _Bar.display = None
            if self.bars.live.is_started:
                self.bars.stop()


def _new_display() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    # Drawn by the thread that watches, which may be refused: no second one of rich's own.
    return Progress(*columns, console=Console(stderr=True), auto_refresh=False)


class _PlainLines:
    def __init__(self, title: str, total: int, done: int) -> None:
        self.title, self.total, self.done, self.done_before = title, total, done, done
        self.note = ""
        self.start_s = time.monotonic()

    def __call__(self, n: int = 1, note: str = "") -> None:
        self.done += n
        self.note = note

    def show(self) -> None:
        elapsed_s = time.monotonic() - self.start_s
        n_new = self.done - self.done_before
        if self.done >= self.total:
            return  # what takes long now is work of another title
        counted = "" if self.total == 1 else f"{self.done} of {self.total}, "
        left_s = elapsed_s / n_new * (self.total - self.done) if n_new else 0.0
        left = f", about {left_s:.0f} s left" if n_new else ""
        say(f"{self.title}: {counted}{elapsed_s:.0f} s{left} {self.note}".rstrip())

    def every_s(self) -> float:
        return PLAIN_LINE_EVERY_S

    def close(self) -> None:
        """Lines stay as they are."""
