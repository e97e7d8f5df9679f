"""Scores of the last seconds of live audio, by a program that needs whole clips."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.errors import ConfigError, DataError
from earbit.frames import MIN_SAMPLES
from earbit.runtime.arguments import sample_rate
from earbit.runtime.chunk_resampler import ChunkResampler
from earbit.runtime.session import Session
from earbit.runtime.speech_segments import SAMPLE_RATE_HZ
from earbit.runtime.waveform import checked_samples


class Window:
    """The last seconds of audio that arrives in chunks, and their scores.

    For programs that cannot stream, such as keyword spotters of short clips: every call of `scores`
    runs the whole program on the window.  window_s: length of the window in seconds, that of the
    clips that the program was trained on.  Raises ConfigError for a head that is not of classes.
    """

    def __init__(self, session: Session, window_s: float = 1.0) -> None:
        if session.kind != "class":
            raise ConfigError(f"a head of kind {session.kind!r}; a window needs one of kind class")
        self._session = session
        self._n = max(MIN_SAMPLES, round(window_s * SAMPLE_RATE_HZ))
        self._resampler = ChunkResampler()
        self._kept = np.zeros(0, np.float32)
        self._n_samples = 0
        self._is_finished = False

    @property
    def seconds(self) -> float:
        """Audio so far, at 16 kHz."""
        return self._n_samples / SAMPLE_RATE_HZ

    def accept(self, samples: NDArray[Any], rate_hz: int = SAMPLE_RATE_HZ) -> None:
        """Adds mono audio in [-1, 1].

        Raises DataError for audio that is not finite floats, ConfigError for an invalid rate.
        """
        if self._is_finished:
            raise DataError("the window is finished; make another one for other audio")
        for chunk in self._resampler.add(checked_samples(samples), sample_rate(rate_hz)):
            self._add(chunk)

    def finish(self) -> None:
        """Ends the audio."""
        self._add(self._resampler.end())
        self._is_finished = True

    def scores(self) -> NDArray[np.float32] | None:
        """`Session.scores` of the window; None until it is full, or too short at the end."""
        enough = MIN_SAMPLES if self._is_finished else self._n
        return None if len(self._kept) < enough else self._session.scores(self._kept)

    def _add(self, chunk: NDArray[np.float32]) -> None:
        self._n_samples += len(chunk)
        self._kept = np.concatenate([self._kept, chunk])[-self._n :]
