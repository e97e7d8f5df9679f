"""Audio files as mono float32 at 16 kHz."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from earbit.errors import DataError

SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What the header of an audio file says."""

    n_samples: int
    """Samples that `read_audio` gives, at 16 kHz."""
    rate_hz: int
    """Sampling rate of the file."""
    n_channels: int


def resampled_length(n_samples: int, rate_hz: int) -> int:
    """Samples at 16 kHz of `n_samples` at `rate_hz`; what soxr gives, rounding halves up."""
    return (2 * n_samples * SAMPLE_RATE_HZ + rate_hz) // (2 * rate_hz)


def audio_info(path: str | Path) -> AudioInfo:
    """Reads the header only; DataError when it is not audio."""
    _check_is_file(Path(path))
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    return AudioInfo(resampled_length(info.frames, info.samplerate), info.samplerate, info.channels)


def read_audio(path: str | Path) -> np.ndarray:
    """Decodes wav, flac, ogg, opus or mp3: float32 (n_samples,), mean of the channels, 16 kHz.

    Silence is legal.  Raises DataError for a file that is missing, is not audio, breaks off, is
    empty, or holds NaN or infinite samples.
    """
    _check_is_file(Path(path))
    try:
        samples, rate_hz = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    if not len(samples):
        raise DataError(f"{path}: no samples in it; leave it out")
    bad = np.flatnonzero(~np.isfinite(samples).all(axis=1))
    if bad.size:
        raise DataError(
            f"{path}: {bad.size} samples are NaN or infinite, first at {bad[0] / rate_hz:.3f} s; "
            "leave it out or write it again"
        )
    mono = np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32))
    return resample(mono, rate_hz)


def resample(mono: np.ndarray, rate_hz: int) -> np.ndarray:
    """Float32 (n,) at `rate_hz` to 16 kHz (soxr, high quality)."""
    if rate_hz == SAMPLE_RATE_HZ:
        return mono
    # soxr may give one sample more or less than the rounded ratio; lengths must be predictable.
    n_samples = resampled_length(len(mono), rate_hz)
    moved = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ, quality="HQ").astype(np.float32)
    return np.pad(moved[:n_samples], (0, max(0, n_samples - len(moved))))


def _check_is_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path}: is a folder; give an audio file")
    if not path.is_file():
        raise DataError(f"{path}: no such file")


def _unreadable(path: str | Path, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be decoded ({error}); wav, flac, ogg, opus and mp3 can be")
