"""The errors that earbit raises; each is also the matching builtin.

A message says what is wrong, the value, what is allowed and what to do, on one line.
The command line prints it and exits with status 2; every other exception is our own bug.
"""


class EarbitError(Exception):
    """Base of everything that a user can cause."""


class ConfigError(EarbitError, ValueError):
    """A configuration, preset, plan or option that cannot be."""


def require_range(low: float, below: float, **values: float) -> None:
    """ConfigError about the first value, by its name, that is not in low <= value < below."""
    for name, value in values.items():
        if not low <= value < below:
            raise ConfigError(f"{name}={value}; allowed: {low} <= {name} < {below}")


def require_count(**values: int) -> None:
    """ConfigError about the first value, by its name, that is no whole number from 1 on."""
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
    """Audio, a corpus, labels or an output folder that cannot be used."""


class FormatError(EarbitError, ValueError):
    """A model, program or label file that is damaged, foreign or of another version."""


class Interrupted(KeyboardInterrupt):
    """Interruption by the user after which something is kept, as its message states."""


class UnsupportedError(EarbitError, NotImplementedError):
    """A legal request that this version, this machine or this file cannot serve."""
