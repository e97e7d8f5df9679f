"""Resampling to 16 kHz, whole or block by block with the same result."""

from __future__ import annotations

import numpy as np
import soxr

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.runtime.chunk_resampler import QUALITY, ChunkResampler, resampled_length

__all__ = ["Resampled", "resample", "resampled_length"]


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
        self._chunks = ChunkResampler()

    def add(self, mono: np.ndarray, rate_hz: int) -> None:
        """Adds float32 (n,) at `rate_hz`."""
        for block in self._chunks.add(mono, rate_hz):
            self._keep(block)

    def whole(self) -> np.ndarray:
        """Returns all samples, float32 (n,), and ends the resampling."""
        self._keep(self._chunks.end())
        self._samples.resize(self._n_samples, refcheck=False)
        return self._samples

    def _keep(self, block: np.ndarray) -> None:
        end = self._n_samples + len(block)
        if end > len(self._samples):
            # In place where the system can, to avoid a second copy.
            self._samples.resize(max(end, len(self._samples) * 5 // 4), refcheck=False)
        self._samples[self._n_samples : end] = block
        self._n_samples = end
