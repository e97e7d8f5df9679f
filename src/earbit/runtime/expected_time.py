"""How long a run on long audio takes, measured on short pieces of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from earbit.runtime.session import Session

LONG_SAMPLES = 120 * 16_000
"""Shorter audio is not worth a measurement."""
FIRST_PIECE_SAMPLES = 2 * 16_000
PIECES = 32
"""The second piece is this part of the audio, so that its attention is a 1,024th."""


@dataclass(frozen=True, slots=True)
class ExpectedTime:
    """Of one run, in seconds."""

    linear_s: float
    """Of the work that grows with the length."""
    square_s: float
    """Of the work that grows with the square of the length: attention over all frames."""

    @property
    def total_s(self) -> float:
        """Of the whole run."""
        return self.linear_s + self.square_s


def expected_time(session: Session, waveform: np.ndarray) -> ExpectedTime | None:
    """The time that `session.run(waveform)` will take; None for audio of less than two minutes.

    Runs two pieces of the audio and takes the time of n samples for a n + b n^2.  This costs about
    a twentieth of the run, less where attention is most of it.
    """
    n_samples = len(waveform)
    if n_samples < LONG_SAMPLES:
        return None
    session.run(waveform[:FIRST_PIECE_SAMPLES])  # the first run allocates memory
    n_first, n_second = FIRST_PIECE_SAMPLES, max(2 * FIRST_PIECE_SAMPLES, n_samples // PIECES)
    first_s, second_s = (_time_s(session, waveform[:n]) for n in (n_first, n_second))
    square = max(0.0, (second_s / n_second - first_s / n_first) / (n_second - n_first))
    linear = max(0.0, second_s / n_second - square * n_second)
    return ExpectedTime(linear * n_samples, square * n_samples**2)


def _time_s(session: Session, waveform: np.ndarray) -> float:
    start_s = time.perf_counter()
    session.run(waveform)
    return time.perf_counter() - start_s
