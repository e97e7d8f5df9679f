"""The parts of an audio file that are decoded one after another, by what its container says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from earbit.audio.byte_ranges import ByteRanges, Range
from earbit.audio.mpeg_frames import MAX_FRAME_BYTES, MpegStream, begins_with_frames, mpeg_file
from earbit.audio.ogg_pages import ogg_links
from earbit.audio.source import Source
from earbit.audio.wav_header import MPEG_TAGS, WavSound, wav_sound
from earbit.errors import DataError


@dataclass(frozen=True, slots=True)
class Part:
    """What one decoder reads."""

    ranges: Sequence[Range]
    mpeg: MpegStream | None = None
    """The frames, where the part is MPEG audio."""

    def opened(self, source: Source) -> ByteRanges:
        """The bytes of the part, for the decoder."""
        if self.mpeg is None:
            return ByteRanges(source.file, self.ranges)
        # Without a tag frame libsndfile estimates the number of frames from the length of the file
        # and stops there.  A length that no frames reach lets it go on to the last frame.
        n_frames = self.mpeg.n_frames + 1
        return ByteRanges(source.file, self.ranges, claimed_bytes=64 * n_frames * MAX_FRAME_BYTES)


def parts_of(source: Source) -> list[Part]:
    """The parts of a file: one, or several where files were joined.

    Raises DataError for an Ogg, wav or MPEG file that breaks off.
    """
    source.file.seek(0)
    if source.file.read(4) == b"OggS":
        return _ogg_parts(source)
    wav = wav_sound(source.file, source.n_bytes)
    if wav is not None:
        return _wav_parts(source, wav)
    if begins_with_frames(source.file, source.n_bytes):
        return mpeg_parts(source, 0, source.n_bytes)
    return [Part([(0, source.n_bytes)])]


def mpeg_parts(source: Source, start: int, end: int) -> list[Part]:
    """The streams of MPEG audio between two positions; none where there is no frame.

    Raises DataError when it breaks off.
    """
    found = mpeg_file(source.file, start, end)
    if found.n_frames < found.n_promised:
        raise DataError(
            f"{source.path}: breaks off after {found.n_frames} of {found.n_promised} frames; "
            f"{_way_out(source)}"
        )
    # A file that has all that it promises may end in bytes that only look like a frame.
    if found.n_missing_bytes and found.n_frames != found.n_promised:
        raise DataError(
            f"{source.path}: breaks off inside a frame after {found.n_frames} frames; "
            f"{_way_out(source)}"
        )
    return [Part(stream.ranges, stream) for stream in found.streams]


def _ogg_parts(source: Source) -> list[Part]:
    links = ogg_links(source.file, source.n_bytes)
    if not links:
        return [Part([(0, source.n_bytes)])]
    for link in links:
        if link.open_streams:
            raise DataError(
                f"{source.path}: breaks off, the last page of its stream is missing; "
                f"{_way_out(source)}"
            )
    return [Part([(link.start, link.end)]) for link in links]


def _wav_parts(source: Source, wav: WavSound) -> list[Part]:
    if wav.n_missing_bytes:
        raise DataError(
            f"{source.path}: breaks off {wav.n_missing_bytes} bytes before the end that its header "
            "promises; copy it again or leave it out"
        )
    if wav.format_tag in MPEG_TAGS:
        parts = mpeg_parts(source, wav.start, wav.start + wav.n_bytes)
        if not parts:
            raise DataError(f"{source.path}: a wav file of mp3 without a frame; leave it out")
        return parts
    rest = wav.length_at + len(wav.length)
    return [Part([(0, wav.length_at), wav.length, (rest, source.n_bytes)])]


def _way_out(source: Source) -> str:
    return f"copy it again, leave it out, or keep what is there with `{source.conversion}`"
