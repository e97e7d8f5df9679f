"""Progress of long work: a bar on a terminal, plain lines elsewhere, always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

PLAIN_LINE_EVERY_S = 10.0


class Advance(Protocol):
    """Reports that work went on."""

    def __call__(self, n: int = 1, note: str = "") -> None:
        """`n` more units of work are done; `note` is shown beside them."""


def say(line: str) -> None:
    """One plain line to the person who waits."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Shows how far work of `total` units has come; nothing is shown for work under two seconds."""
    if sys.stderr.isatty():
        with _bar(title, total, done) as advance:
            yield advance
    else:
        yield _PlainLines(title, total, done)


@contextmanager
def _bar(title: str, total: int, done: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done, note="")

        def advance(n: int = 1, note: str = "") -> None:
            bar.update(task, advance=n, note=note)

        yield advance


class _PlainLines:
    def __init__(self, title: str, total: int, done: int) -> None:
        self.title, self.total, self.done = title, total, done
        self.last_s = time.monotonic()

    def __call__(self, n: int = 1, note: str = "") -> None:
        self.done += n
        now_s = time.monotonic()
        if now_s - self.last_s >= PLAIN_LINE_EVERY_S:
            self.last_s = now_s
            say(f"{self.title}: {self.done} of {self.total} {note}".rstrip())
