"""Validates the arguments of a session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from earbit.errors import ConfigError

MAX_THREADS = 256
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 1_000, 768_000


def thread_count(given: Any) -> int:
    """A number of threads. Raises ConfigError for an invalid number."""
    n = int(given) if is_whole(given) else 0
    if not 1 <= n <= MAX_THREADS:
        raise ConfigError(f"threads={given!r}; allowed: whole numbers from 1 to {MAX_THREADS}")
    return n


def sample_rate(given: Any) -> int:
    """A sample rate of live audio in Hz. Raises ConfigError for an invalid one."""
    if not is_whole(given) or not LOWEST_RATE_HZ <= given <= HIGHEST_RATE_HZ:
        raise ConfigError(
            f"rate_hz={given!r}; allowed are whole numbers from {LOWEST_RATE_HZ} to "
            f"{HIGHEST_RATE_HZ}"
        )
    return int(given)


def value_ids(given: Any, n_values: int) -> list[int]:
    """Ids of values. Raises ConfigError for invalid ids and ids that the program lacks."""
    allowed = f"it has 0 to {n_values - 1}"
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise ConfigError(f"values {given!r} of the program; give a list of ids, {allowed}")
    ids = list(given)
    for one in ids:
        if not is_whole(one) or not 0 <= one < n_values:
            of_leaf = "; of a leaf, session.bits has the id" if isinstance(one, str) else ""
            raise ConfigError(f"value {one!r} of the program; {allowed}{of_leaf}")
    return [int(one) for one in ids]


def check_segments(threshold: float, window: int) -> None:
    """Raises ConfigError for an invalid probability or median filter of segments."""
    if not is_number(threshold) or not 0 < threshold < 1:
        raise ConfigError(f"threshold={threshold!r}; allowed are numbers between 0 and 1")
    if not is_whole(window) or window < 1 or window % 2 == 0:
        raise ConfigError(f"window={window!r}; allowed are odd numbers from 1")


def check_layer(layer: int, n_states: int) -> None:
    """Raises ConfigError for a hidden state that a program does not have."""
    if not is_whole(layer) or not 0 <= layer < n_states:
        raise ConfigError(
            f"layer={layer!r}; allowed: 0 (the encoder's input) to {n_states - 1}, the last layer"
        )


def is_number(given: Any) -> bool:
    """Whether a value is a real number and not a bool."""
    return isinstance(given, (float, np.floating)) or is_whole(given)


def is_whole(given: Any) -> bool:
    """Whether a value is an integer and not a bool."""
    return isinstance(given, (int, np.integer)) and not isinstance(given, bool)
