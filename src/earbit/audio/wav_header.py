"""Finds the sound of a wav file, because libsndfile trusts placeholder lengths.

It also ignores missing sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from earbit.audio.chunks import Order, chunks

PLACEHOLDERS = ((0, 0), (0x7FFF0000, 0x80010000), (0xFFFF0000, 0xFFFFFFFF))
"""Ranges of placeholder lengths, written when the length of the sound is not known yet.

Programs write them to a pipe, or are interrupted before they correct the header.  Known values: 0,
0x7FFFF000 (sox, espeak-ng), 0x7FFFFFFF, 0x80000000 (arecord), 0xFFFFF000 and 0xFFFFFFFF (ffmpeg);
some subtract the header, or round down to whole frames.
"""
WAV_FORMS = (b"RIFF", b"RIFX", b"RF64")
EXTENSIBLE_TAG = 0xFFFE
MPEG_TAGS = (0x50, 0x55)
"""Format tags of MPEG layers 1 and 2, and 3 (RFC 2361)."""


@dataclass(frozen=True, slots=True)
class WavSound:
    """The data chunk of a wav file."""

    start: int
    n_bytes: int
    """Available bytes of sound."""
    n_missing_bytes: int
    """Bytes of sound that the header states and the file lacks."""
    format_tag: int
    corrections: tuple[tuple[int, bytes], ...]
    """Positions in the header, and the correct bytes."""


def wav_sound(file: BinaryIO, n_bytes: int) -> WavSound | None:
    """Finds the sound in a RIFF, RIFX or RF64 file of `n_bytes`.

    If the length is a placeholder beyond the end of the file, or 0 without another chunk after it,
    the sound extends to the end of the file.  None for other files and for files without sound.
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] not in WAV_FORMS or head[8:] != b"WAVE":
        return None
    order: Order = "big" if head[:4] == b"RIFX" else "little"
    format_tag = long_length = 0
    for name, at, length in chunks(file, 12, order):
        if name == b"ds64":
            # EBU Tech 3306: sizes of the file, of the sound, of samples, 64 bits each.
            long_length = int.from_bytes(file.read(16)[8:], "little")
        elif name == b"fmt ":
            form = file.read(26)
            format_tag = int.from_bytes(form[:2], order)
            if format_tag == EXTENSIBLE_TAG:
                format_tag = int.from_bytes(form[24:26], order)
        elif name == b"data":
            is_long = head[:4] == b"RF64" and length in (0, 0xFFFFFFFF)
            length = long_length if is_long else length
            there = max(0, n_bytes - at)
            n_missing = max(0, length - there)
            if not _is_open(file, at, length, there, order):
                return WavSound(at, min(length, there), n_missing, format_tag, ())
            # Written as plain RIFF, in which the other lengths of RF64 are ignored.
            true_length = min(there, 0xFFFFFFFF).to_bytes(4, order)
            form = b"RIFX" if order == "big" else b"RIFF"
            return WavSound(at, there, 0, format_tag, ((0, form), (at - 4, true_length)))
    return None


def _is_open(file: BinaryIO, at: int, length: int, there: int, order: Order) -> bool:
    if length == 0:
        return there > 0 and not _are_chunks(file, at, at + there, order)
    is_placeholder = any(low <= length <= high for low, high in PLACEHOLDERS)
    return length > there and (is_placeholder or length >= 1 << 62)


def _are_chunks(file: BinaryIO, start: int, end: int, order: Order) -> bool:
    """Whether the rest of the file consists of chunks, as after empty sound."""
    at = start
    for name, begin, length in chunks(file, start, order):
        if not name.isascii() or not name.decode("ascii").isprintable():
            return False
        at = begin + length
        if at >= end:
            break
    return end <= at + at % 2 <= end + 1
