"""Results of a command: text for people, JSON for programs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earbit.errors import Interrupted
from earbit.files import make_folder, write_json
from earbit.terminal import printable_lines


def print_json(value: Any) -> None:
    """A result as JSON on standard output."""
    print(json.dumps(value, indent=2))


def emit(value: Any, path: Path | None, text: str | None) -> None:
    """The text for people, or JSON alone on stdout (-), or JSON into a file beside the text.

    text: None where the JSON is what people read too; an empty one is not printed.
    """
    if path == Path("-"):
        print_json(value)
        return
    if path is not None:
        make_folder(path.parent)
        write_json(path, value)
    if text is None:
        print_json(value)
    elif text:
        print_text(text)


def print_text(text: str) -> None:
    """Text for people on standard output; what would control a terminal is escaped."""
    print(printable_lines(text))


@contextlib.contextmanager
def goes_on(out: Path) -> Iterator[None]:
    """Says after Ctrl-C that the same command resumes, where `out` has anything to resume from."""
    try:
        yield
    except KeyboardInterrupt:
        if out.is_dir() and any(out.iterdir()):
            raise Interrupted(f"the same command resumes with what is in {out}") from None
        raise
