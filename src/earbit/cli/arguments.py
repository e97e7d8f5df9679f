"""Arguments of a command, declared by the typed signature of its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from earbit.errors import ConfigError

Command = Callable[..., None]
KINDS = {int: "whole numbers", float: "numbers"}


@dataclass(frozen=True, slots=True)
class Option:
    """Annotation of a parameter: `--name METAVAR`."""

    metavar: str
    """Placeholder of the value; empty for flags and choices."""
    help: str


NEEDS_TRAIN = "needs the extra `train`"
"""Second annotation of a parameter that needs PyTorch, in a command that does without it."""


class Positional(Option):
    """Annotation of a positional parameter."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument on the command line."""

    name: str
    """Name of the parameter."""
    metavar: str
    help: str
    kind: type
    """Type of one value: str, Path, int, float, or bool for a flag."""
    choices: tuple[Any, ...]
    """Allowed values; empty if any value is allowed."""
    is_positional: bool
    is_many: bool
    """Whether it takes one or more values."""
    default: Any
    """`inspect.Parameter.empty` where a value is required."""
    needs_train: bool
    """Whether it needs the extra `train` and other arguments of the command do not."""

    @property
    def is_required(self) -> bool:
        """Whether the command needs a value."""
        return self.default is inspect.Parameter.empty

    @property
    def flag(self) -> str:
        """The name on the command line: `--n-steps`, or the metavar of a positional one."""
        return self.metavar if self.is_positional else f"--{self.name.replace('_', '-')}"

    @property
    def usage(self) -> str:
        """The name and its value: `--out DIR`, `AUDIO ...`."""
        words = [self.flag] if self.is_positional else [self.flag, self.metavar]
        return " ".join(filter(None, (*words, "..." if self.is_many else "")))

    def value_of(self, text: str) -> Any:
        """Parses one value; raises ConfigError if the text is not allowed."""
        if self.choices:
            for choice in self.choices:
                if str(choice) == text:
                    return choice
            allowed = ", ".join(map(str, self.choices))
            raise ConfigError(f"{self.flag} {text!r}; allowed: {allowed}")
        try:
            return self.kind(text)
        except ValueError:
            raise ConfigError(f"{self.flag} {text!r}; allowed: {KINDS[self.kind]}") from None


def arguments_of(command: Command) -> list[Argument]:
    """The arguments of a function whose parameters are all annotated with an `Option`."""
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    return [_argument(parameter) for parameter in parameters]


def _argument(parameter: inspect.Parameter) -> Argument:
    kind, *metadata = get_args(parameter.annotation)
    (described,) = (one for one in metadata if isinstance(one, Option))
    if NoneType in get_args(kind):
        (kind,) = (one for one in get_args(kind) if one is not NoneType)
    is_many = get_origin(kind) is tuple
    if is_many:
        kind = get_args(kind)[0]
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    if not choices and kind not in (str, Path, int, float, bool):
        raise TypeError(f"{parameter}: no text of a command line becomes a {kind}")
    return Argument(
        name=parameter.name,
        metavar=described.metavar or ("|".join(map(str, choices)) if choices else ""),
        help=described.help,
        kind=str if choices else kind,
        choices=choices,
        is_positional=isinstance(described, Positional),
        is_many=is_many,
        default=parameter.default,
        needs_train=NEEDS_TRAIN in metadata,
    )
