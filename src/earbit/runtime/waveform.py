"""Validates the audio given to a session."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.errors import DataError
from earbit.frames import MIN_SAMPLES

MAX_SAMPLES = 16_000 * 3600 * 4
MAX_PEAK = 8.0
"""Full scale is 1; far louder audio was probably not divided by the full scale of integers."""


class LevelWarning(UserWarning):
    """Warning about audio of implausible level; its features may be meaningless."""


def checked_waveform(waveform: NDArray[Any]) -> NDArray[np.float32]:
    """Converts samples to float32 (samples,); raises DataError with a remedy for invalid audio.

    Warns with a LevelWarning when the peak is above MAX_PEAK.
    """
    given = _samples_of(waveform)
    if not MIN_SAMPLES <= given.size <= MAX_SAMPLES:
        remedy = "pad it or leave it out" if given.size < MIN_SAMPLES else "cut it"
        raise DataError(
            f"audio of {given.size} samples; allowed are {MIN_SAMPLES} (25 ms, one frame) to "
            f"{MAX_SAMPLES} (4 h); {remedy}"
        )
    audio = _finite(given)
    if problem := level_problem(audio):
        warn_of_level(problem)
    return audio


def checked_samples(waveform: NDArray[Any]) -> NDArray[np.float32]:
    """Converts any number of samples to float32; raises DataError as `checked_waveform` does."""
    return _finite(_samples_of(waveform))


def warn_of_level(problem: str) -> None:
    """Warns the caller of earbit.runtime with a LevelWarning."""
    warnings.warn(problem, LevelWarning, stacklevel=_depth_of_caller())


def _samples_of(waveform: Any) -> NDArray[Any]:
    if isinstance(waveform, (str, bytes, bytearray, memoryview, os.PathLike)):
        raise no_waveform(waveform)
    try:
        given = np.asarray(waveform)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"audio is no array ({error}); give shape (samples,)") from error
    if given.ndim != 1:
        raise _of_shape(given.shape)
    if not np.issubdtype(given.dtype, np.floating):
        raise _of_type(given.dtype)
    return given


def _finite(given: NDArray[Any]) -> NDArray[np.float32]:
    # A float64 beyond the range of float32 becomes infinite and is counted below.
    with np.errstate(over="ignore"):
        audio = np.ascontiguousarray(given, dtype=np.float32)
    n_bad = int(np.count_nonzero(~np.isfinite(audio)))
    if n_bad:
        raise DataError(f"audio has {n_bad} samples that are NaN or infinite; clean it first")
    return audio


def level_problem(audio: NDArray[np.float32]) -> str | None:
    """Message about implausibly loud audio, with a remedy. None for other audio."""
    if not audio.size:
        return None
    peak = max(float(audio.max()), -float(audio.min()))
    if peak <= MAX_PEAK:
        return None
    # Integers converted to floats without scaling: the narrowest type with this peak.
    bits = next((bits for bits in (16, 24, 32) if peak <= 2 ** (bits - 1)), None)
    likely = f"; if it was {bits}-bit samples, divide it by {2 ** (bits - 1)}" if bits else ""
    return f"audio has a peak of {peak:.6g}, full scale is 1: features may be wrong{likely}"


def _depth_of_caller() -> int:
    """Stack depth, from the calling function, of the first frame outside earbit.runtime."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith("earbit.runtime."):
        frame, depth = frame.f_back, depth + 1
    return depth


def no_waveform(given: str | bytes | bytearray | memoryview | os.PathLike[str]) -> DataError:
    """Advice for a path or bytes given as audio."""
    if isinstance(given, (bytes, bytearray, memoryview)):
        return DataError(
            f"audio is {len(given)} bytes; give numbers: of 16-bit samples, "
            "np.frombuffer(data, '<i2').astype('float32') / 32768, "
            "or read a file with earbit.read_audio"
        )
    name = os.fsdecode(given)
    return DataError(
        f"audio is a {type(given).__name__}, {name!r}; read the file first: "
        f"session.run(earbit.read_audio({name!r}))"
    )


def _of_shape(shape: tuple[int, ...]) -> DataError:
    """Advice for audio that does not have one dimension."""
    advice = "give one channel, shape (samples,)"
    if len(shape) == 2 and min(shape) == 1:
        advice = "give it without the axis of the one channel: waveform.ravel()"
    elif len(shape) == 2 and min(shape) > 0:
        axis = int(np.argmin(shape))
        advice = f"that is {shape[axis]} channels; give their mean: waveform.mean(axis={axis})"
    return DataError(f"audio of shape {shape}; {advice}, or read the file with earbit.read_audio")


def _of_type(dtype: np.dtype[Any]) -> DataError:
    """Advice for audio that is not floating point."""
    advice = {
        "uint8": "(waveform.astype('float32') - 128) / 128",
        "int16": "waveform.astype('float32') / 32768",
        "int32": "waveform.astype('float32') / 2147483648 (of 24-bit samples: / 8388608)",
    }.get(dtype.name, "of 16-bit samples, waveform.astype('float32') / 32768")
    return DataError(
        f"audio of type {dtype}; give floats in [-1, 1]: {advice}, "
        "or read the file with earbit.read_audio"
    )
