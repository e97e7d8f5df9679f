"""Parses a command line into a call of a command's function."""

from __future__ import annotations

import argparse
import difflib
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from earbit.cli.arguments import Argument, Command, arguments_of
from earbit.cli.help import add_help, overview
from earbit.cli.options import SAME_MEANING
from earbit.errors import ConfigError
from earbit.files import require_place

STDOUT = Path("-")
RENAMED = {"binarize": "quantize", "errors": "propagation"}
"""Current names of commands that were renamed before version 0.1."""


def parse(commands: Mapping[str, Command], args: Sequence[str]) -> Callable[[], None]:
    """Returns the requested command, ready to be called.

    Raises ConfigError for invalid arguments.  Prints help on request and raises SystemExit.
    """
    name = args[0] if args else None
    if name in ("-h", "--help"):
        print(overview(commands))
        raise SystemExit(0)
    if name is None or name not in commands:
        raise ConfigError(f"{_no_command(name, commands)}; see earbit --help")
    if " ".join(args[:2]) in commands:
        name, args = " ".join(args[:2]), args[1:]
    elif near := _near_subcommand(args[:2], commands):
        raise ConfigError(f"no command {' '.join(args[:2])!r}; did you mean {near}")
    arguments = arguments_of(commands[name])
    try:
        values = _values(name, commands[name], arguments, args[1:])
    except ConfigError as error:
        raise ConfigError(f"{error}; see earbit {name} --help") from None
    # Options of all commands.
    if not 0 <= values.get("seed", 0) < 2**32:
        raise ConfigError(f"--seed {values['seed']}; allowed: 0 to {2**32 - 1}")
    if values.get("json", STDOUT) != STDOUT:
        _require_json_place(values["json"])
    return functools.partial(commands[name], **values)


class _Parser(argparse.ArgumentParser):
    """Splits a command line into texts by argument, without validation."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse would hide that it cannot be written.
        (file or sys.stdout).write(message)


def _values(
    name: str, command: Command, arguments: Sequence[Argument], args: Sequence[str]
) -> dict[str, Any]:
    """Values of the given arguments by the names of their parameters."""
    parser = _Parser(prog=f"earbit {name}", add_help=False, allow_abbrev=False, exit_on_error=False)
    add_help(parser, command, arguments)
    by_flag = {argument.flag: argument for argument in arguments}
    try:
        texts, unknown = parser.parse_known_intermixed_args(list(args))
    except argparse.ArgumentError as error:
        flag = str(error.argument_name)
        argument = by_flag.get(flag)
        is_switch = argument is None or argument.kind is bool
        raise ConfigError(
            f"{flag} {'takes no value' if is_switch else 'without a value'}"
        ) from None
    if unknown:
        about = f"{command.__doc__} {by_flag['--set'].help}" if "--set" in by_flag else ""
        raise ConfigError(_unknown(unknown, list(by_flag), about))
    given = vars(texts)
    missing = [one.usage for one in arguments if one.is_required and one.name not in given]
    if missing:
        raise ConfigError(f"missing: {', '.join(missing)}")
    return {one.name: _value(one, given[one.name]) for one in arguments if one.name in given}


def _require_json_place(path: Path) -> None:
    """Raises ConfigError for an existing file that is not JSON by its name: it may be an input."""
    require_place(path)
    if path.is_file() and path.suffix != ".json":
        raise ConfigError(
            f"--json {path}: there is a file already, and its name does not end in .json; give "
            "another name"
        )


def _value(argument: Argument, given: Any) -> Any:
    if argument.is_many:
        return tuple(map(argument.value_of, given))
    return given if argument.kind is bool else argument.value_of(given)


def _unknown(tokens: Sequence[str], flags: Sequence[str], about_set: str) -> str:
    """Error message for unknown arguments, with the first option first.

    about_set: help that names fields of `--set`.
    """
    options = [token.partition("=")[0] for token in tokens if token.startswith("-")]
    if not options:
        return f"unexpected argument {tokens[0]!r}{_as_setting(tokens, about_set)}"
    file = next(
        (token for token in tokens if token.startswith("-") and os.path.exists(token)), None
    )
    if file is not None:
        return f"unknown option {file}; if the file of this name is meant, write ./{file}"
    same = _same_meaning(tokens, flags, about_set)
    near = difflib.get_close_matches(options[0], flags, n=1, cutoff=0.7)
    hint = f"; did you mean {near[0]}" if near else _as_setting(tokens, about_set)
    return f"unknown option {options[0]}{same or hint}"


def _same_meaning(tokens: Sequence[str], flags: Sequence[str], about_set: str) -> str:
    """The argument of this command with the meaning of an option of another command."""
    name, equals, value = tokens[0].partition("=")
    group = next((group for group in SAME_MEANING if name in group), ())
    for other in group:
        if other in flags:
            return f"; {'the option' if other.startswith('-') else 'it'} is {other} here"
        if f"{other}=" in about_set:
            return _as_setting([f"{other}{equals}{value}", *tokens[1:]], about_set)
    return ""


def _as_setting(tokens: Sequence[str], about_set: str) -> str:
    """How to give `--name value` or `name=value` with `--set`, for a field that its help names."""
    name, equals, value = tokens[0].lstrip("-").partition("=")
    if f"{name}=" not in about_set:
        return ""
    value = value if equals else "VALUE" if len(tokens) < 2 else tokens[1]
    return f"; it is a field of the configuration: --set {name}={value}"


def _near_subcommand(words: Sequence[str], commands: Mapping[str, Command]) -> str | None:
    """The command of two words that these two nearly are, if the second is not a file."""
    if len(words) < 2 or os.path.exists(words[1]):
        return None
    own = [command for command in commands if command.startswith(f"{words[0]} ")]
    seconds = difflib.get_close_matches(words[1], [c.split()[1] for c in own], n=1, cutoff=0.7)
    return f"{words[0]} {seconds[0]}" if seconds else None


def _no_command(name: str | None, commands: Mapping[str, Command]) -> str:
    allowed = f"commands are {', '.join(commands)}"
    if name is None:
        return f"no command given; {allowed}"
    if name in RENAMED:
        return f"{name}: this command is now called {RENAMED[name]}"
    near = difflib.get_close_matches(name, commands, n=1)
    return f"no command {name!r}; {f'did you mean {near[0]}' if near else allowed}"
