"""Audio files as mono float32 at 16 kHz."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earbit.audio.joined import refuse_joined
from earbit.audio.place import WHOLE, Place
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.resampling import Resampled, resample, resampled_length
from earbit.audio.source import Source, is_pipe, member_of, opened
from earbit.audio.streams import Stream, readable_formats, streams
from earbit.errors import DataError

__all__ = ["AudioInfo", "audio_info", "read_audio", "readable_formats", "resample"]


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """Format and length of an audio file, without its samples."""

    n_samples: int
    """Samples that `read_audio` gives, at 16 kHz."""
    rate_hz: int
    """Sampling rate of the file; of the first part of joined files."""
    n_channels: int
    n_frames: int
    """Samples of each channel at the rates of the file."""


def audio_info(path: str | Path, place: Place = WHOLE) -> AudioInfo:
    """Reads length, rate and channels of a file or member without decoding its samples.

    Reads the header, and all frames or pages of mp3 and Ogg.  Raises DataError for files without
    audio, and for a pipe, which can be read only once.
    """
    if is_pipe(_path(path)):
        raise DataError(f"{path}: a pipe, whose length is not known before it is read")
    n_samples_of: list[tuple[int, int]] = []  # by rate in Hz
    n_channels = 0
    with _source(path, place) as source:
        for stream in streams(source):
            n_channels = n_channels or stream.channels
            if n_samples_of and n_samples_of[-1][0] == stream.samplerate:
                rate_hz, n_before = n_samples_of.pop()
                n_samples_of.append((rate_hz, n_before + stream.n_samples))
            else:
                n_samples_of.append((stream.samplerate, stream.n_samples))
    n_samples = sum(resampled_length(n, rate_hz) for rate_hz, n in n_samples_of)
    n_frames = sum(n for _, n in n_samples_of)
    return AudioInfo(n_samples, n_samples_of[0][0], n_channels, n_frames)


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
    with _source(path) as source:
        refuse_joined(source)
        return _decoded(source, ((stream, 0, stream.n_samples) for stream in streams(source)))


def read_blocks(path: str | Path) -> Iterator[tuple[np.ndarray, int]]:
    """Mono samples of a file, float32 (n,), and their rate in Hz, block by block.

    Raises DataError as `read_audio` does.
    """
    with _source(path) as source:
        refuse_joined(source)
        before_s = 0.0
        n_before = 0
        for stream in streams(source):
            for block in stream.blocks():
                if (bad := _not_numbers(block)).size:
                    first = int(bad[0])
                    raise _not_finite(
                        path, bad.size, n_before + first, before_s + first / stream.samplerate
                    )
                mono = _mean_of_channels(block)
                if not np.isfinite(mono).all():
                    raise _too_loud(path, float(np.abs(block).max()))
                n_before += len(block)
                before_s += len(block) / stream.samplerate
                yield mono, stream.samplerate


def read_place(path: Path, place: Place) -> np.ndarray:
    """Decodes a part of a file like `read_audio`; a range is cut out before it is resampled."""
    with _source(path, place) as source:
        refuse_joined(source)
        return _decoded(source, _ranges(source, place), place.channel)


def read_crop(path: Path, place: Place, start: int, n_samples: int) -> tuple[np.ndarray, int]:
    """Samples of `read_place` from `start` on, and the number of all.

    Where the format can be decoded from any sample on and its rate is 16 kHz, only these samples
    are decoded, so damage elsewhere in the file is not found.
    """
    with _source(path, place) as source:
        for stream, first, end in _ranges(source, place):
            if stream.samplerate != SAMPLE_RATE_HZ or not stream.can_seek:
                break
            wanted = (stream, first + start, first + start + n_samples)
            if wanted[2] > end:
                break
            return _decoded(source, [wanted], place.channel), end - first
    whole = read_place(path, place)
    return whole[start : start + n_samples].copy(), len(whole)  # so that the rest is freed


Range = tuple[Stream, int, int]
"""A stream of a file, and the first and the end of its samples that are wanted."""


def _ranges(source: Source, place: Place) -> Iterator[Range]:
    """The wanted samples of each stream. Raises DataError where they are not in the file."""
    n_before = 0
    end = place.first_frame + place.n_frames
    for stream in streams(source):
        first = max(0, place.first_frame - n_before)
        n_wanted = min(stream.n_samples, end - n_before) if place.n_frames else stream.n_samples
        if first < n_wanted:
            yield stream, first, n_wanted
        n_before += stream.n_samples
    if n_before < end:
        raise DataError(
            f"{source.path}: {n_before} samples, {end} are needed; correct the manifest or leave "
            "it out"
        )


def _decoded(source: Source, ranges: Iterable[Range], channel: int = -1) -> np.ndarray:
    path = source.path
    result = Resampled()
    peak = 0.0
    n_bad = n_before = 0
    before_s = 0.0
    first_bad = (0, 0.0)
    for stream, first, end in ranges:
        if channel >= stream.channels:
            raise DataError(
                f"{path}: channel {channel} (counted from 0) of {stream.channels}; correct the "
                "manifest or leave it out"
            )
        for block in stream.blocks(first, end):
            bad = _not_numbers(block)
            if bad.size and not n_bad:
                place = first + n_before + int(bad[0])
                first_bad = (place, before_s + (first + int(bad[0])) / stream.samplerate)
            n_bad += bad.size
            n_before += len(block)
            before_s += len(block) / stream.samplerate
            if not n_bad:
                mono = _mean_of_channels(block) if channel < 0 else block[:, channel].copy()
                peak = max(peak, float(np.abs(mono).max()))
                result.add(mono, stream.samplerate)
    if n_bad:
        raise _not_finite(path, n_bad, *first_bad)
    if not n_before:
        raise DataError(f"{path}: no samples in it; leave it out")
    waveform = result.whole()
    if not np.isfinite(waveform).all():
        raise _too_loud(path, peak)
    return waveform


def _not_finite(path: str | Path, n: int, first: int, first_s: float) -> DataError:
    """n: number of samples that are not finite; first, first_s: number and time of the first."""
    which = (
        f"sample {first} ({first_s:.3f} s) is NaN or infinite"
        if n == 1
        else f"{n} samples are NaN or infinite, the first is sample {first} ({first_s:.3f} s)"
    )
    return DataError(f"{path}: {which}; leave it out or write it again")


def _too_loud(path: str | Path, peak: float) -> DataError:
    return DataError(f"{path}: samples up to {peak:.3g}, full scale is 1; scale it or leave it out")


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


def channel_peak(path: Path, place: Place = WHOLE) -> float:
    """The largest absolute sample of all channels of a part before averaging.

    Raises DataError as above.
    """
    peak = 0.0
    with _source(path, place) as source:
        for stream, first, end in _ranges(source, place):
            for block in stream.blocks(first, end):
                wanted = block if place.channel < 0 else block[:, place.channel]
                peak = max(peak, float(np.abs(wanted).max()))
    return peak


def _path(path: str | Path) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise DataError(
            f"an audio file of type {type(path).__name__}; give its path, a str or pathlib.Path"
        )
    return Path(path)


@contextmanager
def _source(path: str | Path, place: Place = WHOLE) -> Iterator[Source]:
    try:
        with opened(_path(path), readable_formats()) as source:
            yield member_of(source, place) if place.n_bytes else source
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
