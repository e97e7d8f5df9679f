"""Decoders of audio files: one stream of blocks for each part of a file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soundfile

from earbit.audio.formats import (
    CONVERTIBLE_SUFFIXES,
    MPEG_SUFFIXES,
    RAW_SAMPLES,
    RAW_SUFFIXES,
    READ_CONTAINERS,
    READ_FORMATS,
    READ_SUFFIXES,
    listed,
)
from earbit.audio.parts import Part, mpeg_parts, parts_of
from earbit.audio.source import Source
from earbit.errors import DataError

MIN_RATE_HZ = 1_000
"""Minimum rate in Hz: a lower one, from a damaged header, would multiply the length."""
BLOCK_SAMPLES = 1 << 18
"""Samples of all channels that are decoded per block."""
UNKNOWN_FRAMES = (1 << 63) - 1
"""libsndfile's length of a stream whose header states none."""
SEEKABLE = frozenset({"WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF", "AU"})
"""Containers in which a decoder begins at any sample with the samples of a decoder from the start.

Of their codecs, only those without memory are: ADPCM in wav has one.
"""
SEEKABLE_CODECS = ("PCM", "FLOAT", "DOUBLE", "ULAW", "ALAW")
"""First part of the names of these codecs in libsndfile."""


class Stream(soundfile.SoundFile):  # type: ignore[misc]
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

    def blocks(self, first: int = 0, end: int | None = None) -> Iterator[np.ndarray]:
        """Yields blocks of samples, float32 (n, n_channels), that share one reused array.

        first, end: the range of samples, by default all.  Decoding begins at `first` where the
        format allows it, and at the start of the part elsewhere.  Raises DataError when there are
        fewer than `n_samples` or `end`.
        """
        buffer = np.empty((max(1, BLOCK_SAMPLES // self.channels), self.channels), np.float32)
        n_delay = 0 if self._part.mpeg is None else self._part.mpeg.n_delay
        n_skipped = n_delay + first
        n_done, stop = 0, n_delay + (self.n_samples if end is None else end)
        try:
            if first and self.can_seek:
                n_done = self.seek(first)
            while n_done < stop:
                block = self.read(out=buffer[: min(len(buffer), stop - n_done)])
                if not len(block):
                    break
                is_wanted = block[max(0, n_skipped - n_done) :]
                n_done += len(block)
                if len(is_wanted):
                    yield is_wanted
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise self._failed(error) from error
        if self._bytes.error is not None:
            raise self._failed(self._bytes.error)
        if n_done < stop:
            raise DataError(
                f"{self._source.path}: breaks off after {max(0, n_done - n_delay)} of "
                f"{stop - n_delay} samples; copy it again or leave it out"
            )

    @property
    def can_seek(self) -> bool:
        """Whether decoding may begin anywhere with the same samples."""
        return (
            self._part.mpeg is None
            and self.format in SEEKABLE
            and self.subtype.startswith(SEEKABLE_CODECS)
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


def streams(source: Source) -> Iterator[Stream]:
    """Yields the parts of a file, each open until the next one is requested."""
    suffix = source.path.suffix.lower()
    if suffix in RAW_SUFFIXES:
        raise DataError(
            f"{source.path}: raw samples have no header; convert them with "
            f"`{source.raw_conversion}` if they are {RAW_SAMPLES}"
        )
    if suffix == ".safetensors":
        raise DataError(f"{source.path}: a program or model, not audio; give {readable_formats()}")
    for part in parts_of(source):
        for stream in _streams_of_part(source, part):
            with stream:
                yield stream


def _streams_of_part(source: Source, part: Part) -> Iterator[Stream]:
    try:
        stream = Stream(source, part)
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
        yield Stream(source, mpeg_part)


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
    if source.n_bytes and source.is_pipe:
        convert += f"if it is raw samples, {RAW_SAMPLES}, with `{source.raw_conversion}`; "
    return DataError(
        f"{path}: cannot be decoded ({reason}); {convert}give {allowed}, or leave it out"
    )
