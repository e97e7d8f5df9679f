"""Exceptions of earbit; each is also a subclass of the matching builtin.

A message is one line with the fault, the value, the allowed values and the remedy.
The command line prints it and exits with status 2.  Any other exception is a bug in earbit.
"""

import reprlib
from typing import Any

MAX_SHOWN = 80
"""Length of a value in a message, in characters."""
_LIMITED = reprlib.Repr()
_LIMITED.maxlevel = 3
_LIMITED.maxlist = _LIMITED.maxtuple = _LIMITED.maxdict = _LIMITED.maxset = MAX_SHOWN // 3 + 1
_LIMITED.maxstring = _LIMITED.maxlong = _LIMITED.maxother = 2 * MAX_SHOWN


class EarbitError(Exception):
    """Base class of errors that a user can cause."""


class ConfigError(EarbitError, ValueError):
    """An invalid configuration, preset, plan or option."""


def shown(value: Any) -> str:
    """The `repr` of a value for a message, cut to `MAX_SHOWN` characters."""
    # A longer value cannot fit, and a value of a file may hold one list in itself many times.
    text = repr(value[: MAX_SHOWN + 1]) if isinstance(value, str) else _LIMITED.repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def require_range(low: float, below: float, **values: float) -> None:
    """Raises ConfigError, naming it, for the first value outside low <= value < below."""
    for name, value in values.items():
        if not low <= value < below:
            raise ConfigError(f"{name}={value}; allowed: {low} <= {name} < {below}")


def require_count(**values: int) -> None:
    """Raises ConfigError, naming it, for the first value that is not a positive integer."""
    for name, value in values.items():
        if not isinstance(value, int):
            raise ConfigError(f"{name}={value!r}; allowed: a whole number")
        require_range(1, 2**20, **{name: value})


def require_choice(allowed: tuple[str, ...], **values: str) -> None:
    """Raises ConfigError about the first value that is not allowed, by its name."""
    for name, value in values.items():
        if value not in allowed:
            raise ConfigError(f"{name}={value!r}; allowed: {', '.join(allowed)}")


class DataError(EarbitError, ValueError):
    """Unusable audio, corpus, labels or output folder."""


class FormatError(EarbitError, ValueError):
    """A damaged, foreign or incompatible model, program or label file."""


class Interrupted(KeyboardInterrupt):
    """Interruption by the user after which something is kept, as its message states."""


class Terminated(Interrupted):
    """Termination by SIGTERM, which schedulers send; the message names the results kept."""


def terminate(number: int, frame: object) -> None:
    """Handler of SIGTERM that raises Terminated, so that a command ends as after Ctrl-C."""
    raise Terminated


class UnsupportedError(EarbitError, NotImplementedError):
    """A valid request that this version, machine or file does not support."""
