"""Command-line arguments to a verb that is ready to be called; errors as one line."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tyro

from earbit.errors import ConfigError
from earbit.files import require_place

ABOUT = """Audio language models in one bit, that really run in one bit.
`earbit VERB --help` explains a verb; `earbit --version` says which earbit this is."""
STDOUT = Path("-")

Verb = Callable[..., None]


def parse(verbs: Mapping[str, Verb], args: Sequence[str]) -> Callable[[], None]:
    """The verb that the arguments name, ready to be called; ConfigError when they do not fit."""
    with _one_line():
        if args and args[0] in verbs:
            # Alone, so that what is said of a mistake is of this verb and of no other.
            verb = verbs[args[0]]
            # Its text as it stands: tyro would join the lines of examples.
            text = inspect.cleandoc(verb.__doc__ or "")
            prog = f"earbit {args[0]}"
            return tyro.cli(deferred(verb), prog=prog, description=text, args=args[1:])
        chosen: Callable[[], None] = tyro.extras.subcommand_cli_from_dict(
            {name: _in_short(deferred(verb)) for name, verb in verbs.items()},
            prog="earbit",
            description=ABOUT,
            args=args,
        )
        return chosen


def deferred(verb: Verb) -> Callable[..., Callable[[], None]]:
    """A function with the verb's own signature and text, whose result runs the verb.

    tyro calls what it parses.  ConfigError or DataError for options that are alike in all verbs.
    """

    @functools.wraps(verb)
    def bound(*values: Any, **named: Any) -> Callable[[], None]:
        if not 0 <= named.get("seed", 0) < 2**32:
            raise ConfigError(f"--seed {named['seed']}: 0 to {2**32 - 1} are allowed")
        if named.get("json") not in (None, STDOUT):
            require_place(named["json"])
        return functools.partial(verb, *values, **named)

    return bound


def _in_short(verb: Callable[..., Callable[[], None]]) -> Callable[..., Callable[[], None]]:
    """The same with the first paragraph of its text, for the list of all verbs."""
    verb.__doc__ = inspect.cleandoc(verb.__doc__ or "").partition("\n\n")[0]
    return verb


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """What tyro says before it gives up becomes a ConfigError; help goes its way."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            yield
    except SystemExit as end:
        if not end.code:
            raise
        raise ConfigError(_without_box(complaint.getvalue())) from None


def _without_box(text: str) -> str:
    """What tyro says in a box of several lines, as one line."""
    lines = (line.strip("│| ") for line in text.splitlines()[1:])
    return " ".join(line for line in lines if any(letter.isalnum() for letter in line))
