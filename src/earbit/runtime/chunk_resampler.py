"""Stateful resampler to 16 kHz; its joined outputs equal the resampled whole signal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.runtime.speech_segments import SAMPLE_RATE_HZ

QUALITY = "HQ"


def resampled_length(n_samples: int, rate_hz: int) -> int:
    """Samples at 16 kHz of `n_samples` at `rate_hz`, rounded half up as in soxr."""
    return (2 * n_samples * SAMPLE_RATE_HZ + rate_hz) // (2 * rate_hz)


class ChunkResampler:
    """Resamples chunks of any rate to float32 at 16 kHz (soxr, high quality).

    Consecutive chunks of one rate are one signal.  Results come with a delay of a few
    milliseconds, except at 16 kHz.
    """

    def __init__(self) -> None:
        self._rate_hz = SAMPLE_RATE_HZ
        self._stream: Any = None
        self._n_read = 0
        """Samples at the current rate."""
        self._n_made = 0

    def add(self, mono: NDArray[np.float32], rate_hz: int) -> list[NDArray[np.float32]]:
        """Resamples a chunk, float32 (n,) at `rate_hz`; returns the samples that are final."""
        made = []
        if rate_hz != self._rate_hz:
            made.append(self.end())
            self._rate_hz = rate_hz
            if rate_hz != SAMPLE_RATE_HZ:
                import soxr

                self._stream = soxr.ResampleStream(
                    rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality=QUALITY
                )
        self._n_read += len(mono)
        made.append(mono if self._stream is None else self._stream.resample_chunk(mono))
        self._n_made += len(made[-1])
        return made

    def end(self) -> NDArray[np.float32]:
        """Ends the signal; returns its last samples, `resampled_length` of them in total."""
        last = np.zeros(0, np.float32)
        if self._stream is not None:
            last = self._stream.resample_chunk(last, last=True)
            # soxr may give one sample more or less.
            n_left = max(0, resampled_length(self._n_read, self._rate_hz) - self._n_made)
            last = np.pad(last[:n_left], (0, max(0, n_left - len(last))))
        self._rate_hz, self._stream = SAMPLE_RATE_HZ, None
        self._n_read = self._n_made = 0
        return last
