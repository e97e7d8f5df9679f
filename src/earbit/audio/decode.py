"""Audio files as mono float32 at 16 kHz."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.wav_header import missing_bytes
from earbit.errors import DataError

MIN_RATE_HZ = 1_000
"""A lower rate is a damaged header: one second of it would become a thousand or more."""
BLOCK_FRAMES = 1 << 20
MP3_FRAMES_PER_BYTE = 64
"""More than any mp3 holds: 24 at 8 kbit/s and 24 kHz."""
UNKNOWN_FRAMES = (1 << 63) - 1
"""What libsndfile says of a stream whose header leaves its length open."""
FOREIGN_SUFFIXES = frozenset({".m4a", ".mp4", ".aac", ".wma", ".webm", ".amr", ".3gp", ".mkv"})
"""Of files with sound that libsndfile cannot read."""


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
    with _opened(path) as file:
        n_samples = resampled_length(file.frames, file.samplerate)
        return AudioInfo(n_samples, file.samplerate, file.channels)


def read_audio(path: str | Path) -> np.ndarray:
    """Decodes wav, flac, ogg, opus or mp3: float32 (n_samples,), mean of the channels, 16 kHz.

    Silence is legal.  Raises DataError for what is no path, and for a file that is missing, is not
    audio, breaks off before the end that its header promises, is empty, or holds NaN, infinite or
    absurdly large samples.
    Memory: a file is decoded block by block (mp3: whole, but not beyond what its bytes can hold),
    so a few bytes that claim hours cost nothing.
    """
    with _opened(path) as file:
        n_frames, rate_hz = file.frames, file.samplerate
        mono = _mono(path, file)
    if not mono.size:
        raise DataError(f"{path}: no samples in it; leave it out")
    if mono.size != n_frames:
        raise DataError(
            f"{path}: breaks off after {mono.size} of {n_frames} samples; "
            "copy it again or leave it out"
        )
    waveform = resample(mono, rate_hz)
    if not np.isfinite(waveform).all():
        raise DataError(
            f"{path}: samples up to {np.abs(mono).max():.3g}, full scale is 1; "
            "scale it or leave it out"
        )
    return waveform


def resample(mono: np.ndarray, rate_hz: int) -> np.ndarray:
    """Float32 (n,) at `rate_hz` to 16 kHz (soxr, high quality)."""
    if rate_hz == SAMPLE_RATE_HZ:
        return mono
    # soxr may give one sample more or less than the rounded ratio; lengths must be predictable.
    n_samples = resampled_length(len(mono), rate_hz)
    moved = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ, quality="HQ").astype(np.float32)
    return np.pad(moved[:n_samples], (0, max(0, n_samples - len(moved))))


def _mono(path: str | Path, file: soundfile.SoundFile) -> np.ndarray:
    """All that can be read, float32 (n,) at the rate of the file; DataError for NaN and Inf."""
    block_frames = BLOCK_FRAMES
    if file.format == "MP3":
        # Between blocks soundfile seeks, and an mp3 decoder that seeks has lost its past.
        block_frames = MP3_FRAMES_PER_BYTE * Path(path).stat().st_size
    blocks = [np.zeros(0, np.float32)]
    n_frames = n_bad = first_bad = 0
    while True:
        try:
            block = file.read(min(block_frames, file.frames), dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise _unreadable(path, error) from error
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
        if bad.size and not n_bad:
            first_bad = n_frames + int(bad[0])
        n_bad += bad.size
        with np.errstate(over="ignore", invalid="ignore"):
            blocks.append(block.mean(axis=1, dtype=np.float32))
        n_frames += len(block)
        if not len(block) or n_frames >= file.frames:
            break
    if n_bad:
        raise DataError(
            f"{path}: {n_bad} samples are NaN or infinite, the first is sample {first_bad} "
            f"({first_bad / file.samplerate:.3f} s); leave it out or write it again"
        )
    return np.concatenate(blocks)


@contextmanager
def _opened(path: str | Path) -> Iterator[soundfile.SoundFile]:
    if not isinstance(path, (str, os.PathLike)):
        raise DataError(
            f"an audio file of type {type(path).__name__}; give its path, a str or pathlib.Path"
        )
    _check_is_file(Path(path))
    try:
        file = soundfile.SoundFile(str(path))
    except (soundfile.LibsndfileError, RuntimeError, UnicodeError) as error:
        raise _unreadable(path, error) from error
    with file:
        if n_missing := missing_bytes(Path(path)):
            raise DataError(
                f"{path}: breaks off {n_missing} bytes before the end that its header promises; "
                "copy it again or leave it out"
            )
        if file.frames == UNKNOWN_FRAMES:
            raise DataError(f"{path}: its header does not say how long it is; write it again")
        if file.samplerate < MIN_RATE_HZ:
            raise DataError(
                f"{path}: {file.samplerate} Hz, at least {MIN_RATE_HZ} Hz is allowed; "
                "its header may be damaged, leave it out"
            )
        yield file


def _check_is_file(path: Path) -> None:
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError as error:
        raise DataError(f"{path}: cannot be looked at ({error.strerror})") from error
    if is_folder:
        raise DataError(f"{path}: is a folder; give an audio file")
    if not is_file:
        raise DataError(f"{path}: no such file; give {readable_formats()}")
    suffix = path.suffix.lower()
    if suffix == ".raw":
        # By this suffix soundfile takes any file for bare samples.
        raise DataError(f"{path}: raw samples have no header; write them as wav or flac")
    if suffix == ".safetensors":
        raise DataError(f"{path}: a program or model, not audio; give {readable_formats()}")


def readable_formats() -> str:
    """The formats of audio that the installed libsndfile decodes, as a list for people."""
    major = set(soundfile.available_formats())
    of_ogg = set(soundfile.available_subtypes("OGG")) if "OGG" in major else set()
    is_there = {
        "wav": "WAV" in major,
        "flac": "FLAC" in major,
        "ogg": "VORBIS" in of_ogg,
        "opus": "OPUS" in of_ogg,
        "mp3": "MP3" in major,
    }
    *most, last = (name for name, is_readable in is_there.items() if is_readable)
    return f"{', '.join(most)} or {last}" if most else last


def _unreadable(path: str | Path, error: Exception) -> DataError:
    reason = str(error).removeprefix(f"Error opening {str(path)!r}: ").rstrip(".")
    allowed = readable_formats()
    suffix = Path(path).suffix.lower()
    if Path(path).stat().st_size == 0:
        reason = "an empty file"
    elif suffix == ".mp3" and "mp3" not in allowed:
        reason = f"libsndfile {soundfile.__libsndfile_version__} has no mp3; 1.1 or later has"
    elif suffix == ".mp3" and "not a regular file" in reason:
        # What libsndfile says of an mp3 without a frame, where the decoder gave no reason.
        reason = "no mp3 in it"
    elif suffix in FOREIGN_SUFFIXES:
        reason = f"{suffix[1:]} is not read; ffmpeg -i FILE{suffix} FILE.wav makes a wav of it"
    return DataError(f"{path}: cannot be decoded ({reason}); give {allowed}, or leave it out")
