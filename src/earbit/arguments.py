"""Command-line arguments to a verb that is ready to be called; errors as one line."""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tyro

from earbit.errors import ConfigError
from earbit.files import require_place

ABOUT = """Audio language models in one bit, that really run in one bit.
`earbit VERB --help` explains a verb; `earbit --version` says which earbit this is."""
STDOUT = Path("-")
RENAMED = {"binarize": "quantize", "errors": "propagation"}
"""Verbs by the names that they had before version 0.1."""

Verb = Callable[..., None]


def parse(verbs: Mapping[str, Verb], args: Sequence[str]) -> Callable[[], None]:
    """The verb that the arguments name, ready to be called; ConfigError when they do not fit."""
    verb = verbs.get(args[0]) if args else None
    if args and verb is None and not args[0].startswith("-"):
        raise _unknown(args[0], verbs)
    prog = "earbit" if verb is None else f"earbit {args[0]}"
    with _one_line(verb, prog):
        if verb is not None:
            # Alone, so that what is said of a mistake is of this verb and of no other.
            # Its text as it stands: tyro would join the lines of examples.
            text = inspect.cleandoc(verb.__doc__ or "")
            return tyro.cli(deferred(verb), prog=prog, description=text, args=args[1:])
        chosen: Callable[[], None] = tyro.extras.subcommand_cli_from_dict(
            {name: _in_short(deferred(verb)) for name, verb in verbs.items()},
            prog=prog,
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


def _unknown(name: str, verbs: Mapping[str, Verb]) -> ConfigError:
    if name in RENAMED:
        return ConfigError(f"{name}: this verb is called {RENAMED[name]} now; see earbit --help")
    near = difflib.get_close_matches(name, verbs, n=1)
    guess = f"did you mean {near[0]}" if near else f"verbs are {', '.join(verbs)}"
    return ConfigError(f"no verb {name!r}; {guess}; see earbit --help")


@contextlib.contextmanager
def _one_line(verb: Verb | None, prog: str) -> Iterator[None]:
    """What tyro says before it gives up becomes a ConfigError; help goes its way."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            yield
    except SystemExit as end:
        if not end.code:
            raise
        said = _in_our_words(complaint.getvalue(), verb)
        if said is None:
            raise ConfigError(_without_box(complaint.getvalue())) from None
        raise ConfigError(f"{said}; see {prog} --help") from None


def _in_our_words(box: str, verb: Verb | None) -> str | None:
    """What is wrong, without texts of help and names of Python's types; None where tyro's will do.

    verb: whose arguments they are.
    """
    # Where the terminal has no lines to draw, spaces and hyphens stand for them.
    lines = box.replace("│", " ").replace("─", "-").splitlines()[1:]
    is_rule = [*(not line.strip(" -╰╯") for line in lines), True]
    if all(is_rule):
        return None
    first = is_rule.index(False)
    end = is_rule.index(True, first)
    # What is wrong stands above the first rule; what may have been meant, below it.
    above = " ".join(line.strip() for line in lines[first:end])
    below = " ".join(line.strip() for line in lines[end:])
    if above.startswith("Missing from"):
        # By four spaces names are set off, by eight their texts.
        names = [line.strip() for line in lines[first:end] if re.match(r" {6}\S", line)]
        return f"Missing: {', '.join(names)}"
    if found := re.match(r"Missing value for argument '(.+?)'", above):
        return f"{found[1]} without a value"
    if found := re.match(r"invalid choice (.+) for argument '(.+?)'\. Expected one of (.+)", above):
        allowed = [name for name in re.findall(r"'(.*?)'", found[3]) if name != "None"]
        return f"{found[2]} {found[1]}: allowed are {', '.join(allowed)}"
    if above.startswith("Unrecognized options"):
        meant = re.search(r"Perhaps you meant:.*? (--[\w-]+)", below)
        return above + (f"; did you mean {meant[1]}" if meant else "")
    if (found := re.match(r"Error parsing (\S+): (.+)", above)) and verb is not None:
        return _no_number(found[1], found[2], verb)
    return None


def _no_number(option: str, reason: str, verb: Verb) -> str | None:
    """Of an option of numbers, what it was given that is none."""
    parameters = inspect.signature(verb, eval_str=True).parameters
    name = option.lstrip("-").replace("-", "_")
    kind = str(parameters[name].annotation) if name in parameters else ""
    given = re.search(r"(?:from|arguments:|base 10:|to float:) (\[.*?\]|'.*?')", reason)
    if given is None:
        return None
    for convert, wanted in ((int, "whole numbers"), (float, "numbers")):
        if re.search(rf"\b{convert.__name__}\b", kind):
            values = re.findall(r"'(.*?)'", given[1])
            bad = [repr(value) for value in values if not _converts(value, convert)]
            return f"{option} {' '.join(bad)}: {wanted} are allowed" if bad else None
    return None


def _converts(value: str, convert: Callable[[str], object]) -> bool:
    try:
        convert(value)
    except ValueError:
        return False
    return True


def _without_box(text: str) -> str:
    """What tyro says in a box of several lines, as one line."""
    lines = (line.strip("│| ") for line in text.splitlines()[1:])
    return " ".join(line for line in lines if any(letter.isalnum() for letter in line))
