"""Parts of an audio file that are decoded in sequence, found in its container."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from earbit.audio.byte_ranges import ByteRanges, Range
from earbit.audio.mpeg_frames import MAX_FRAME_BYTES, MpegStream, begins_with_frames, mpeg_file
from earbit.audio.ogg_pages import ogg_links
from earbit.audio.promised_end import missing_bytes, promised_end
from earbit.audio.source import Source
from earbit.audio.wav_header import MPEG_TAGS, WAV_FORMS, WavSound, wav_sound
from earbit.errors import DataError

FLAC_BEGINNING = b"fLaC\x00\x00\x00\x22"
"""Start of a flac file: its magic number, and a first block of 34 bytes that is not the last."""
SEARCH_BYTES = 1 << 20


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

    Raises DataError for truncated Ogg, wav and MPEG files.
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


def refuse_joined(source: Source) -> None:
    """Raises DataError for concatenated files, of which decoders read only the first.

    Reads all bytes of a flac file.
    """
    wav = wav_sound(source.file, source.n_bytes)
    at = 0
    if wav is not None:
        source.file.seek(wav.start + wav.n_bytes)
        rest = source.file.read(16)
        # A byte of padding may follow the sound or be missing.
        is_file = rest[:4] in WAV_FORMS or rest[1:5] in WAV_FORMS
        at = wav.start + wav.n_bytes if is_file and b"WAVE" in rest else 0
    else:
        source.file.seek(0)
        beginning = source.file.read(4)
        if beginning == FLAC_BEGINNING[:4]:
            at = _find(source, FLAC_BEGINNING, 4)
        elif end := promised_end(source.file):
            source.file.seek(end)
            # Up to seven bytes of padding may follow the sound.
            place = source.file.read(len(beginning) + 7).find(beginning)
            at = end + place if place >= 0 else 0
    if at:
        raise DataError(
            f"{source.path}: several files joined into one, the second begins at byte {at}; "
            "split it there, or leave it out"
        )


def _find(source: Source, wanted: bytes, at: int) -> int:
    """Finds bytes at or after `at`; 0 if they are missing."""
    while at < source.n_bytes:
        source.file.seek(at)
        block = source.file.read(SEARCH_BYTES)
        place = block.find(wanted)
        if place >= 0:
            return at + place
        if len(block) < SEARCH_BYTES:
            break
        at += len(block) - len(wanted) + 1
    return 0


def _refuse_missing(source: Source, n_missing_bytes: int) -> None:
    if n_missing_bytes:
        raise DataError(
            f"{source.path}: breaks off {n_missing_bytes} bytes before the end that its header "
            f"promises; {_way_out(source)}"
        )


def _way_out(source: Source) -> str:
    return f"copy it again, leave it out, or keep what is there with `{source.conversion}`"
