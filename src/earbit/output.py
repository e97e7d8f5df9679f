"""Output of a command: text for people, JSON for programs."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earbit.errors import Interrupted, Terminated
from earbit.files import make_folder, writable, write_json
from earbit.terminal import printable_lines

NUMBERS = re.compile(r"\[\s+((?:-?\d[-+.\de]*,?\s+)+)\]")
"""A list of JSON numbers.  In a text, a line break is \\n, so its content cannot match."""


def print_json(value: Any) -> None:
    """Prints a result as JSON on standard output, with each list of numbers on a line."""
    text = json.dumps(writable(value), indent=2, allow_nan=False)
    print(NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text))


def emit(value: Any, path: Path | None, text: str | None) -> None:
    """Prints the text, or only JSON on stdout (-), or the text with JSON in a file.

    text: None to print the JSON instead; an empty text is not printed.
    """
    if path == Path("-"):
        print_json(value)
        return
    if path is not None:
        make_folder(path.parent)
        write_json(path, writable(value))
    if text is None:
        print_json(value)
    elif text:
        print_text(text)


def for_terminal(text: str) -> str | None:
    """The text if standard output is a terminal, else None, for which `emit` prints JSON."""
    return text if sys.stdout.isatty() else None


def print_text(text: str) -> None:
    """Prints text on standard output with terminal control characters escaped."""
    print(printable_lines(text))


@contextlib.contextmanager
def goes_on(out: Path) -> Iterator[None]:
    """Says after Ctrl-C that the same command resumes, where `out` has anything to resume from.

    The message of an Interrupted from the work names the point where it resumes.  Terminated
    remains Terminated.
    """
    try:
        yield
    except KeyboardInterrupt as end:
        if out.is_dir() and any(out.iterdir()):
            where = f" {end}" if isinstance(end, Interrupted) and str(end) else ""
            kind = Terminated if isinstance(end, Terminated) else Interrupted
            raise kind(f"the same command resumes{where} with what is in {out}") from None
        raise
