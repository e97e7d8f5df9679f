"""What a verb found: text for people, JSON for programs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earbit.errors import Interrupted
from earbit.files import make_folder, write_json


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
    if text != "":
        print(json.dumps(value, indent=2) if text is None else text)


@contextlib.contextmanager
def goes_on(out: Path) -> Iterator[None]:
    """Says of work that is ended by hand that the same command goes on, where `out` has some."""
    try:
        yield
    except KeyboardInterrupt:
        if out.is_dir() and any(out.iterdir()):
            raise Interrupted(f"the same command goes on with what is in {out}") from None
        raise
