"""Parts of an audio file that are decoded in sequence, found in its container."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from earbit.audio.byte_ranges import ByteRanges, Range
from earbit.audio.joined import MPEG_TAG, refuse_another_at
from earbit.audio.mpeg_frames import MAX_FRAME_BYTES, MpegStream, begins_with_frames, mpeg_file
from earbit.audio.ogg_pages import ogg_links
from earbit.audio.promised_end import missing_bytes
from earbit.audio.source import Source
from earbit.audio.wav_header import MPEG_TAGS, WavSound, wav_sound
from earbit.errors import DataError


@dataclass(frozen=True, slots=True)
class Part:
    """The range of a file that one decoder reads."""

    ranges: Sequence[Range]
    mpeg: MpegStream | None = None
    """Frames of MPEG audio, else None."""

    def opened(self, source: Source) -> ByteRanges:
        """Opens the bytes of the part for a decoder."""
        if self.mpeg is None:
            return ByteRanges(source.file, self.ranges)
        # libsndfile rejects streams of a single frame; data after that frame are not decoded.
        ranges = list(self.ranges) * (2 if self.mpeg.n_frames == 1 else 1)
        # Without a tag frame libsndfile estimates the number of frames from the length of the file
        # and stops there.  With a length beyond all frames it decodes the last frame too.
        claimed_bytes = 64 * (self.mpeg.n_frames + 1) * MAX_FRAME_BYTES
        return ByteRanges(source.file, ranges, claimed_bytes)


def parts_of(source: Source) -> list[Part]:
    """Returns the parts of a file: one, or several for joined files.

    Raises DataError for truncated Ogg, wav and MPEG files, and for Ogg and MPEG files followed by a
    file of another format.
    """
    source.file.seek(0)
    if source.file.read(4) == b"OggS":
        return _ogg_parts(source)
    wav = wav_sound(source.file, source.n_bytes)
    if wav is not None:
        return _wav_parts(source, wav)
    if begins_with_frames(source.file, source.n_bytes):
        parts = mpeg_parts(source, 0, source.n_bytes)
        if not parts:
            raise DataError(f"{source.path}: no frame of sound in it; leave it out")
        return parts
    _refuse_missing(source, missing_bytes(source.file, source.n_bytes))
    return [Part([(0, source.n_bytes)])]


def mpeg_parts(source: Source, start: int, end: int) -> list[Part]:
    """The MPEG audio streams between two positions. Empty without a frame.

    Raises DataError for truncated audio.
    """
    found = mpeg_file(source.file, start, end)
    for stream in found.streams:
        if stream.n_frames < stream.n_promised:
            raise DataError(
                f"{source.path}: breaks off after {stream.n_frames} of {stream.n_promised} frames; "
                f"{_way_out(source)}"
            )
    if found.n_damaged_bytes:
        raise DataError(
            f"{source.path}: damaged, {found.n_damaged_bytes} bytes between its frames are neither "
            f"frames nor tags; {_way_out(source)}"
        )
    streams = [stream for stream in found.streams if stream.n_frames]
    # A complete file may end in bytes that only look like a frame.
    if streams and found.n_missing_bytes and streams[-1].n_frames != streams[-1].n_promised:
        raise DataError(
            f"{source.path}: breaks off inside a frame after {streams[-1].n_frames} frames; "
            f"{_way_out(source)}"
        )
    for stream in streams:
        for _, end_of_frames in stream.ranges:
            refuse_another_at(source, end_of_frames, besides=MPEG_TAG)
    return [Part(stream.ranges, stream) for stream in streams]


def _ogg_parts(source: Source) -> list[Part]:
    links = ogg_links(source.file, source.n_bytes)
    if not links:
        return [Part([(0, source.n_bytes)])]
    for link in links:
        if link.breaks_off:
            raise DataError(
                f"{source.path}: breaks off, the last page of its stream is missing; "
                f"{_way_out(source)}"
            )
        if link.has_damage:
            raise DataError(
                f"{source.path}: damaged, a page is missing or its checksum is wrong; "
                f"{_way_out(source)}"
            )
        refuse_another_at(source, link.end, besides=b"OggS")
    return [Part([(link.start, link.end)]) for link in links]


def _wav_parts(source: Source, wav: WavSound) -> list[Part]:
    _refuse_missing(source, wav.n_missing_bytes)
    if wav.format_tag in MPEG_TAGS:
        parts = mpeg_parts(source, wav.start, wav.start + wav.n_bytes)
        if not parts:
            raise DataError(f"{source.path}: a wav file of mp3 without a frame; leave it out")
        return parts
    ranges: list[Range] = []
    at = 0
    for place, correction in wav.corrections:
        ranges += [(at, place), correction]
        at = place + len(correction)
    return [Part([*ranges, (at, source.n_bytes)])]


def _refuse_missing(source: Source, n_missing_bytes: int) -> None:
    if n_missing_bytes:
        raise DataError(
            f"{source.path}: breaks off {n_missing_bytes} bytes before the end that its header "
            f"promises; {_way_out(source)}"
        )


def _way_out(source: Source) -> str:
    return f"copy it again, leave it out, or keep what is there with `{source.conversion}`"
