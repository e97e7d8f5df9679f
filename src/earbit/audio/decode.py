"""Audio files as mono float32 at 16 kHz."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from earbit.audio.formats import (
    CONVERTIBLE_SUFFIXES,
    MPEG_SUFFIXES,
    READ_CONTAINERS,
    READ_FORMATS,
    READ_SUFFIXES,
    listed,
)
from earbit.audio.joined import refuse_joined
from earbit.audio.parts import Part, mpeg_parts, parts_of
from earbit.audio.resampling import Resampled, resample, resampled_length
from earbit.audio.source import Source, is_pipe, opened
from earbit.errors import DataError

__all__ = ["AudioInfo", "audio_info", "read_audio", "readable_formats", "resample"]

MIN_RATE_HZ = 1_000
"""Minimum rate in Hz: a lower one, from a damaged header, would multiply the length."""
BLOCK_SAMPLES = 1 << 18
"""Samples of all channels that are decoded per block."""
UNKNOWN_FRAMES = (1 << 63) - 1
"""libsndfile's length of a stream whose header states none."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """Format and length of an audio file, without its samples."""

    n_samples: int
    """Samples that `read_audio` gives, at 16 kHz."""
    rate_hz: int
    """Sampling rate of the file; of the first part of joined files."""
    n_channels: int


def audio_info(path: str | Path) -> AudioInfo:
    """Reads length, rate and channels of a file without decoding its samples.

    Reads the header, and all frames or pages of mp3 and Ogg.  Raises DataError for files without
    audio, and for a pipe, which can be read only once.
    """
    if is_pipe(_path(path)):
        raise DataError(f"{path}: a pipe, whose length is not known before it is read")
    n_samples_of: list[tuple[int, int]] = []
    n_channels = 0
    with _source(path) as source:
        for stream in _streams(source):
            n_channels = n_channels or stream.channels
            if n_samples_of and n_samples_of[-1][0] == stream.samplerate:
                rate_hz, n_before = n_samples_of.pop()
                n_samples_of.append((rate_hz, n_before + stream.n_samples))
            else:
                n_samples_of.append((stream.samplerate, stream.n_samples))
    n_samples = sum(resampled_length(n, rate_hz) for rate_hz, n in n_samples_of)
    return AudioInfo(n_samples, n_samples_of[0][0], n_channels)


def read_audio(path: str | Path) -> np.ndarray:
    """Decodes a file to float32 (n_samples,): mean of the channels, 16 kHz.

    path: a file, a pipe, or `-` for standard input, in a format of `formats.READ_FORMATS`; a pipe
    is read into memory, up to 1 GiB.
    Silence is valid.  Raises DataError for an invalid path, and for a file that is missing, is not
    audio, is shorter than its header states, is empty, or holds NaN, infinite or absurdly large
    samples.
    Memory: the file is decoded and resampled block by block, so memory is at most 1.25 times that
    of the result at any rate and number of channels.
    """
    result = Resampled()
    peak = 0.0
    n_bad = n_before = 0
    before_s = 0.0
    first_bad = (0, 0.0)
    with _source(path) as source:
        refuse_joined(source)
        for stream in _streams(source):
            for block in stream.blocks():
                bad = _not_numbers(block)
                if bad.size and not n_bad:
                    place = n_before + int(bad[0])
                    first_bad = (place, before_s + int(bad[0]) / stream.samplerate)
                n_bad += bad.size
                n_before += len(block)
                before_s += len(block) / stream.samplerate
                if not n_bad:
                    mono = _mean_of_channels(block)
                    peak = max(peak, float(np.abs(mono).max()))
                    result.add(mono, stream.samplerate)
    if n_bad:
        raise DataError(
            f"{path}: {n_bad} samples are NaN or infinite, the first is sample {first_bad[0]} "
            f"({first_bad[1]:.3f} s); leave it out or write it again"
        )
    if not n_before:
        raise DataError(f"{path}: no samples in it; leave it out")
    waveform = result.whole()
    if not np.isfinite(waveform).all():
        raise DataError(
            f"{path}: samples up to {peak:.3g}, full scale is 1; scale it or leave it out"
        )
    return waveform


def _not_numbers(block: np.ndarray) -> np.ndarray:
    """Positions in a block, (n, n_channels), where any channel is NaN or infinite."""
    is_finite = np.isfinite(block)
    if is_finite.all():  # many times faster than along the short axis
        return np.zeros(0, np.int64)
    return np.flatnonzero(~is_finite.all(axis=1))


def _mean_of_channels(block: np.ndarray) -> np.ndarray:
    """Float32 (n,) of (n, n_channels); infinite where the sum leaves the range."""
    total = block[:, 0].copy()
    with np.errstate(over="ignore"):
        for channel in range(1, block.shape[1]):
            total += block[:, channel]
    total /= block.shape[1]
    return total


def channel_peak(path: Path) -> float:
    """The largest absolute sample of all channels before averaging; raises DataError as above."""
    peak = 0.0
    with _source(path) as source:
        for stream in _streams(source):
            for block in stream.blocks():
                peak = max(peak, float(np.abs(block).max()))
    return peak


class _Stream(soundfile.SoundFile):  # type: ignore[misc]
    """Decoder of a part of a file from start to end."""

    def __init__(self, source: Source, part: Part) -> None:
        self._source, self._part = source, part
        self._bytes = part.opened(source)
        try:
            super().__init__(self._bytes)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise self._failed(error) from error
        self._refuse_bad_header()

    def seekable(self) -> bool:
        """Returns False, as soundfile would seek after each block and reset an mp3 decoder."""
        return False

    @property
    def n_samples(self) -> int:
        """Samples per channel, from the header or from counted frames."""
        mpeg = self._part.mpeg
        return int(self.frames) if mpeg is None else mpeg.n_samples

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields blocks of samples, float32 (n, n_channels), that share one reused array.

        Raises DataError when there are fewer than `n_samples`.
        """
        buffer = np.empty((max(1, BLOCK_SAMPLES // self.channels), self.channels), np.float32)
        n_delay = 0 if self._part.mpeg is None else self._part.mpeg.n_delay
        n_done, end = 0, n_delay + self.n_samples
        while n_done < end:
            try:
                block = self.read(out=buffer[: min(len(buffer), end - n_done)])
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise self._failed(error) from error
            if not len(block):
                break
            is_sound = block[max(0, n_delay - n_done) :]
            n_done += len(block)
            if len(is_sound):
                yield is_sound
        if self._bytes.error is not None:
            raise self._failed(self._bytes.error)
        if n_done < end:
            raise DataError(
                f"{self._source.path}: breaks off after {max(0, n_done - n_delay)} of "
                f"{self.n_samples} samples; copy it again or leave it out"
            )

    def _refuse_bad_header(self) -> None:
        path = self._source.path
        # libsndfile reads files of other containers that are cut short as shorter audio.
        if self.format not in READ_CONTAINERS:
            raise DataError(
                f"{path}: {self.format} is not read; convert it with `{self._source.conversion}`; "
                f"give {readable_formats()}, or leave it out"
            )
        if self._part.mpeg is None and self.frames == UNKNOWN_FRAMES:
            raise DataError(
                f"{path}: its header does not say how long it is; write it again, as with "
                f"`{self._source.conversion}`"
            )
        if self.samplerate < MIN_RATE_HZ:
            raise DataError(
                f"{path}: {self.samplerate} Hz, at least {MIN_RATE_HZ} Hz is allowed; "
                "its header may be damaged, leave it out"
            )

    def _failed(self, error: Exception) -> DataError:
        if self._bytes.error is not None:
            return DataError(f"{self._source.path}: cannot be read ({self._bytes.error.strerror})")
        return _unreadable(self._source, getattr(error, "error_string", str(error)))


def _streams(source: Source) -> Iterator[_Stream]:
    """Yields the parts of a file, each open until the next one is requested."""
    suffix = source.path.suffix.lower()
    if suffix == ".raw":
        raise DataError(f"{source.path}: raw samples have no header; write them as wav or flac")
    if suffix == ".safetensors":
        raise DataError(f"{source.path}: a program or model, not audio; give {readable_formats()}")
    for part in parts_of(source):
        for stream in _streams_of_part(source, part):
            with stream:
                yield stream


def _streams_of_part(source: Source, part: Part) -> Iterator[_Stream]:
    try:
        stream = _Stream(source, part)
    except DataError:
        # Bytes that no decoder knows may precede the first frame.
        if part.mpeg is not None or source.path.suffix.lower() not in MPEG_SUFFIXES:
            raise
        parts = mpeg_parts(source, 0, source.n_bytes) if "mp3" in readable_formats() else []
        if not parts:
            raise
    else:
        if part.mpeg is not None or stream.format != "MP3":
            yield stream
            return
        stream.close()
        parts = mpeg_parts(source, 0, source.n_bytes)
        if not parts:
            raise _unreadable(source, "no mp3 in it")
    for mpeg_part in parts:
        yield _Stream(source, mpeg_part)


def _path(path: str | Path) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise DataError(
            f"an audio file of type {type(path).__name__}; give its path, a str or pathlib.Path"
        )
    return Path(path)


@contextmanager
def _source(path: str | Path) -> Iterator[Source]:
    try:
        with opened(_path(path), readable_formats()) as source:
            yield source
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def readable_formats() -> str:
    """The formats of READ_FORMATS that the installed libsndfile decodes, as a text."""
    containers = set(soundfile.available_formats())
    of_ogg = set(soundfile.available_subtypes("OGG")) if "OGG" in containers else set()
    return listed(
        name
        for name, one in READ_FORMATS.items()
        if containers.intersection(one.containers) and (not one.codec or one.codec in of_ogg)
    )


def _unreadable(source: Source, reason: str) -> DataError:
    path, reason = source.path, reason.rstrip(".")
    allowed = readable_formats()
    suffix = path.suffix.lower()
    if not source.n_bytes:
        reason = "an empty file"
    elif suffix in MPEG_SUFFIXES and "mp3" not in allowed:
        reason = f"libsndfile {soundfile.__libsndfile_version__} has no mp3; 1.1 or later has"
    elif suffix in MPEG_SUFFIXES:
        reason = "no mp3 in it"
    elif suffix in CONVERTIBLE_SUFFIXES:
        reason = f"{suffix[1:]} is not read"
    convert = ""
    if source.n_bytes and (source.is_pipe or suffix in READ_SUFFIXES | CONVERTIBLE_SUFFIXES):
        convert = f"if it is audio, convert it with `{source.conversion}`; "
    return DataError(
        f"{path}: cannot be decoded ({reason}); {convert}give {allowed}, or leave it out"
    )
