"""Command-line arguments to a verb that is ready to be called; errors as one line."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tyro

from earbit.errors import ConfigError


def parse(
    verbs: Mapping[str, Callable[..., None]], args: Sequence[str] | None
) -> Callable[[], None]:
    """The verb that the arguments name, ready to be called; ConfigError when they do not fit."""

    def deferred(verb: Callable[..., None]) -> Callable[..., Callable[[], None]]:
        # tyro calls what it parses: it is given a function with the verb's own signature and text.
        @functools.wraps(verb)
        def bound(*values: Any, **named: Any) -> Callable[[], None]:
            if not 0 <= named.get("seed", 0) < 2**32:
                raise ConfigError(f"--seed {named['seed']}: 0 to {2**32 - 1} are allowed")
            return functools.partial(verb, *values, **named)

        return bound

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            chosen: Callable[[], None] = tyro.extras.subcommand_cli_from_dict(
                {name: deferred(verb) for name, verb in verbs.items()},
                prog="earbit",
                description="Audio language models in one bit, that really run in one bit.",
                args=args,
            )
    except SystemExit as end:
        if not end.code:
            raise
        raise ConfigError(_without_box(complaint.getvalue())) from None
    return chosen


def _without_box(text: str) -> str:
    """What tyro says in a box of several lines, as one line."""
    lines = (line.strip("│| ") for line in text.splitlines()[1:])
    return " ".join(line for line in lines if any(letter.isalnum() for letter in line))
