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


class DataError(EarbitError, ValueError):
    """Audio, a corpus, labels or an output folder that cannot be used."""


class FormatError(EarbitError, ValueError):
    """A model, program or label file that is damaged, foreign or of another version."""


class UnsupportedError(EarbitError, NotImplementedError):
    """A legal request that this version, this machine or this file cannot serve."""
