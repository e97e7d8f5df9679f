"""Texts of `--help`, for one command and for all commands."""

from __future__ import annotations

import argparse
import functools
import inspect
import shutil
import textwrap
from collections.abc import Mapping, Sequence

from earbit.cli.arguments import NEEDS_TRAIN, Argument, Command

ABOUT = """Pre-trains, quantizes, evaluates and runs speech encoders in 1 to 8 bits and float.

`earbit COMMAND --help` describes a command. `earbit --version` prints the version."""
RUNTIME = ("run", "bench", "doctor")
"""Commands that need no extra; all others need `train`."""
WIDEST = 100
INDENT = 26
"""Column in which the text of an argument begins."""


def add_help(
    parser: argparse.ArgumentParser, command: Command, arguments: Sequence[Argument]
) -> None:
    """Adds the arguments of a command, all optional, and its docstring to a parser."""
    required = [one.usage for one in arguments if one.is_positional or one.is_required]
    parser.usage = " ".join((parser.prog, *required, "[options]")).replace("%", "%%")
    parser.description = _filled(command.__doc__ or "")
    if parser.prog.removeprefix("earbit ") not in RUNTIME:
        parser.description += f"\n\n{_filled(f'This command {NEEDS_TRAIN}.')}"
    parser.formatter_class = functools.partial(
        argparse.RawTextHelpFormatter, width=_width(), max_help_position=INDENT
    )
    for one in arguments:
        names = [one.name] if one.is_positional else [one.flag]
        how: dict[str, object] = {"help": _told(one), "default": argparse.SUPPRESS}
        if one.kind is bool:
            how |= {"action": "store_true", "dest": one.name}
        elif one.is_positional:
            how |= {"nargs": "*" if one.is_many else "?", "metavar": one.metavar}
        else:
            how |= {"metavar": one.metavar, "dest": one.name}
            if one.is_many:
                how |= {"nargs": "+", "action": "extend"}
        parser.add_argument(*names, **how)  # type: ignore[arg-type]
    parser.add_argument("-h", "--help", action="help", help="Print this help and exit.")


def overview(commands: Mapping[str, Command]) -> str:
    """Output of `earbit --help`: one or two lines per command, runtime commands last."""
    indent = max(map(len, commands)) + 4
    lines = {
        name: textwrap.indent(
            _fill(inspect.cleandoc(command.__doc__ or "").partition("\n\n")[0], _width() - indent),
            " " * indent,
        ).replace(" " * indent, f"  {name}".ljust(indent), 1)
        for name, command in commands.items()
    }
    runtime = [line for name, line in lines.items() if name in RUNTIME]
    training = [line for name, line in lines.items() if name not in RUNTIME]
    return "\n".join(
        (
            *("usage: earbit COMMAND ...", "", _filled(ABOUT)),
            *("", "commands that need the extra `train`:", *training),
            *("", "commands that need no extra:", *runtime),
        )
    )


def _told(argument: Argument) -> str:
    default = argument.default
    if argument.is_required:
        told = f"{argument.help} (required)"
    elif default is None or default is False or default == ():
        told = argument.help
    else:
        values = default if argument.is_many else (default,)
        told = f"{argument.help} (default: {' '.join(map(str, values))})"
    if argument.needs_train:
        told += f" ({NEEDS_TRAIN})"
    return _fill(told.replace("%", "%%"), _width() - INDENT)


def _filled(text: str) -> str:
    """Wraps paragraphs to the terminal's width; keeps indented paragraphs, the examples."""
    return "\n\n".join(
        paragraph if paragraph.startswith(" ") else _fill(paragraph, _width())
        for paragraph in inspect.cleandoc(text).split("\n\n")
    )


def _fill(text: str, width: int) -> str:
    """Wraps words into lines without breaking hyphenated names, which users copy."""
    return textwrap.fill(" ".join(text.split()), width, break_on_hyphens=False)


def _width() -> int:
    return max(40, min(WIDEST, shutil.get_terminal_size().columns))
