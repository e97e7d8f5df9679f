"""Resampling to 16 kHz, whole or block by block with the same result."""

from __future__ import annotations

import numpy as np
import soxr

from earbit.audio.rate import SAMPLE_RATE_HZ

QUALITY = "HQ"


def resampled_length(n_samples: int, rate_hz: int) -> int:
    """Samples at 16 kHz of `n_samples` at `rate_hz`, rounded half up as in soxr."""
    return (2 * n_samples * SAMPLE_RATE_HZ + rate_hz) // (2 * rate_hz)


def resample(mono: np.ndarray, rate_hz: int) -> np.ndarray:
    """Resamples float32 (n,) from `rate_hz` to 16 kHz (soxr, high quality)."""
    if rate_hz == SAMPLE_RATE_HZ:
        return mono
    # soxr may return one sample more or less than the rounded ratio; lengths must be predictable.
    n_samples = resampled_length(len(mono), rate_hz)
    moved = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ, quality=QUALITY).astype(np.float32)
    return np.pad(moved[:n_samples], (0, max(0, n_samples - len(moved))))


class Resampled:
    """Resamples blocks of sound of any rate to float32 at 16 kHz.

    Consecutive blocks of one rate are resampled as one signal, as by `resample`.
    """

    def __init__(self) -> None:
        self._samples = np.empty(SAMPLE_RATE_HZ, np.float32)
        self._n_samples = 0
        self._rate_hz = SAMPLE_RATE_HZ
        self._stream: soxr.ResampleStream | None = None
        self._n_at_rate = 0
        """Samples at the current rate, before resampling."""
        self._start = 0
        """Start of these samples in the result."""

    def add(self, mono: np.ndarray, rate_hz: int) -> None:
        """Adds float32 (n,) at `rate_hz`."""
        if rate_hz != self._rate_hz:
            self._end_of_rate()
            self._rate_hz = rate_hz
            if rate_hz != SAMPLE_RATE_HZ:
                self._stream = soxr.ResampleStream(
                    rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality=QUALITY
                )
        self._n_at_rate += len(mono)
        self._keep(mono if self._stream is None else self._stream.resample_chunk(mono))

    def whole(self) -> np.ndarray:
        """Returns all samples, float32 (n,), and ends the resampling."""
        self._end_of_rate()
        self._samples.resize(self._n_samples, refcheck=False)
        return self._samples

    def _end_of_rate(self) -> None:
        if self._stream is not None:
            self._keep(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))
            n_samples = resampled_length(self._n_at_rate, self._rate_hz)
            n_more = self._start + n_samples - self._n_samples
            self._keep(np.zeros(max(0, n_more), np.float32))
            self._n_samples = self._start + n_samples
        self._stream, self._n_at_rate, self._start = None, 0, self._n_samples

    def _keep(self, block: np.ndarray) -> None:
        end = self._n_samples + len(block)
        if end > len(self._samples):
            # In place where the system can, to avoid a second copy.
            self._samples.resize(max(end, len(self._samples) * 5 // 4), refcheck=False)
        self._samples[self._n_samples : end] = block
        self._n_samples = end
