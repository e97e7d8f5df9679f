"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Protocol

from earbit.terminal import printable

if TYPE_CHECKING:
    from rich.progress import Progress

SHOWN_AFTER_S = 2.0
PLAIN_LINE_EVERY_S = 10.0
ESTIMATED_FROM = 5
"""Minimum number of finished units for an estimate: the first ones may differ in size."""
BAR_DRAWN_EVERY_S = 0.5
"""More frequent updates would disturb the measurements of `bench`."""


class Advance(Protocol):
    """Callback that reports progress."""

    def __call__(self, n: int = 1, note: str = "") -> None:
        """Reports `n` more finished units of work; `note` is shown beside them."""


Report = Callable[[str, int, int, str], None]
"""(title, finished units, all units, note), called for every finished unit."""
_is_muted = False
_report: Report | None = None


def send_to(report: Report) -> None:
    """Passes progress to a function, instead of showing it: another process shows it."""
    global _report
    _report = report


def mute() -> None:
    """Makes `say` and `progress` silent in this process: one of several ranks speaks for all."""
    global _is_muted
    _is_muted = True


def say(line: str) -> None:
    """Prints one line on standard error, unless this process is muted."""
    if not _is_muted:
        say_always(line)


def say_always(line: str) -> None:
    """Prints one line on standard error, with terminal control characters escaped."""
    print(printable(line), file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Shows the progress of `total` units of work, unless it takes less than two seconds.

    Lines also appear during a single long unit.  If no thread can be started, progress is shown
    only when a unit is finished.
    """
    if _report is not None:
        yield _Sent(_report, title, total, done)
        return
    if _is_muted:
        yield _silently
        return
    shown: _Bar | _PlainLines
    shown = (_Bar if _can_draw() else _PlainLines)(printable(title), total, done)
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


def _can_draw() -> bool:
    """Whether a bar can be drawn: on a terminal, and with rich, which the runtime lacks."""
    return sys.stderr.isatty() and importlib.util.find_spec("rich") is not None


def _silently(n: int = 1, note: str = "") -> None:
    """Reports nothing."""


class _Sent:
    def __init__(self, report: Report, title: str, total: int, done: int) -> None:
        self.report, self.title, self.total, self.done = report, title, total, done

    def __call__(self, n: int = 1, note: str = "") -> None:
        self.done += n
        self.report(self.title, self.done, self.total, note)


def _watch(shown: _Bar | _PlainLines, ended: threading.Event) -> None:
    wait_s = SHOWN_AFTER_S
    while not ended.wait(wait_s):
        shown.show()
        wait_s = shown.every_s()


class _Unwatched:
    """Shows progress without a thread, when a unit is finished and a line is due."""

    def __init__(self, shown: _Bar | _PlainLines) -> None:
        self.shown = shown
        self.due_s = time.monotonic() + SHOWN_AFTER_S

    def __call__(self, n: int = 1, note: str = "") -> None:
        self.shown(n, note)
        if time.monotonic() >= self.due_s:
            self.shown.show()
            self.due_s = time.monotonic() + self.shown.every_s()


class _Bar:
    """A row of rich's only live display; nested work adds a row."""

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
    # Drawn by the watching thread, without a second thread of rich.
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
            return  # the current work has another title
        counted = "" if self.total == 1 else f"{self.done} of {self.total}, "
        left_s = elapsed_s / n_new * (self.total - self.done) if n_new else 0.0
        left = f", about {left_s:.0f} s left" if n_new >= ESTIMATED_FROM else ""
        say(f"{self.title}: {counted}{elapsed_s:.0f} s{left} {self.note}".rstrip())

    def every_s(self) -> float:
        return PLAIN_LINE_EVERY_S

    def close(self) -> None:
        """Closes without output."""
