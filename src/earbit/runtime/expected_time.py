"""Estimates the time of a run on long audio from short parts of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from earbit.runtime.session import Session

LONG_SAMPLES = 120 * 16_000
"""Minimum length of audio for an estimate."""
FIRST_PIECE_SAMPLES = 2 * 16_000
PIECES = 32
"""Length of the audio over that of the second part, whose attention takes a 1,024th."""


@dataclass(frozen=True, slots=True)
class ExpectedTime:
    """Estimated time of one run in seconds."""

    linear_s: float
    """Time of work that is linear in the length."""
    square_s: float
    """Time of work that is quadratic in the length: attention over all frames."""

    @property
    def total_s(self) -> float:
        """Total time."""
        return self.linear_s + self.square_s


def expected_time(session: Session, waveform: np.ndarray, least_s: float) -> ExpectedTime | None:
    """Estimates the time of `session.run(waveform)`; None if it certainly is below `least_s`.

    Audio under two minutes is not measured.  Otherwise 2 s of it are run once or twice, at most
    3.3 % of the run.  This is all if the time stays below `least_s` even if it is only quadratic.
    Else a 32nd of the audio is run too, and a n + b n^2 is fitted to the time of n samples.  If
    time is linear, all parts cost 7 % of the run for two minutes of audio, 3.8 % for ten and 3.2 %
    for an hour.  If attention dominates, they cost less.
    """
    n_samples = len(waveform)
    if n_samples < LONG_SAMPLES:
        return None
    n_first, n_second = FIRST_PIECE_SAMPLES, max(2 * FIRST_PIECE_SAMPLES, n_samples // PIECES)
    first_s = 0.0
    for _ in range(2):  # the first run allocates memory and takes longer
        first_s = _time_s(session, waveform[:n_first])
        if first_s * (n_samples / n_first) ** 2 < least_s:
            return None
    second_s = _time_s(session, waveform[:n_second])
    square = max(0.0, (second_s / n_second - first_s / n_first) / (n_second - n_first))
    linear = max(0.0, second_s / n_second - square * n_second)
    return ExpectedTime(linear * n_samples, square * n_samples**2)


def _time_s(session: Session, waveform: np.ndarray) -> float:
    start_s = time.perf_counter()
    session.run(waveform)
    return time.perf_counter() - start_s
