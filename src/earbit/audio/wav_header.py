"""Where the sound of a wav file stands: libsndfile believes lengths that are placeholders.

It also keeps silent about sound that is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

Order = Literal["little", "big"]

PLACEHOLDERS = ((0, 0), (0x7FFF0000, 0x80010000), (0xFFFF0000, 0xFFFFFFFF))
"""Lengths from and to, that programs write which do not know yet how long their sound will be.

They write to a pipe, or were ended before they could correct the header.  Known values are 0,
0x7FFFF000 (sox, espeak-ng), 0x7FFFFFFF, 0x80000000 (arecord), 0xFFFFF000 and 0xFFFFFFFF (ffmpeg);
some subtract the header, or round down to whole frames.
"""
EXTENSIBLE_TAG = 0xFFFE
MPEG_TAGS = (0x50, 0x55)
"""Format tags of MPEG layers 1 and 2, and 3 (RFC 2361)."""


@dataclass(frozen=True, slots=True)
class WavSound:
    """The chunk of sound of a wav file."""

    start: int
    n_bytes: int
    """That are there."""
    n_missing_bytes: int
    """That the header promises and the file lacks."""
    format_tag: int
    length_at: int
    """Where the length of the chunk stands, four bytes."""
    length: bytes
    """The length in bytes as it should be there."""


def wav_sound(file: BinaryIO, n_bytes: int) -> WavSound | None:
    """Finds the sound in a RIFF, RIFX or RF64 file of `n_bytes`.

    Where the length is a placeholder and longer than the file, or 0 and no other chunk follows, the
    sound goes on to the end of the file.  None for other files and for one without sound.
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RIFX", b"RF64") or head[8:] != b"WAVE":
        return None
    order: Order = "big" if head[:4] == b"RIFX" else "little"
    format_tag = long_length = 0
    for name, at, length in _chunks(file, 12, order):
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
            if _is_open(file, at, length, there, order):
                length, n_missing = there, 0
            field = min(length, 0xFFFFFFFF) if not is_long else 0xFFFFFFFF
            return WavSound(
                at, min(length, there), n_missing, format_tag, at - 4, field.to_bytes(4, order)
            )
    return None


def _is_open(file: BinaryIO, at: int, length: int, there: int, order: Order) -> bool:
    if length == 0:
        return there > 0 and not _are_chunks(file, at, at + there, order)
    is_placeholder = any(low <= length <= high for low, high in PLACEHOLDERS)
    return length > there and (is_placeholder or length >= 1 << 62)


def _are_chunks(file: BinaryIO, start: int, end: int, order: Order) -> bool:
    """Whether the rest of the file is chunks to its last byte, as behind sound without samples."""
    at = start
    for name, begin, length in _chunks(file, start, order):
        if not name.isascii() or not name.decode("ascii").isprintable():
            return False
        at = begin + length
        if at >= end:
            break
    return end <= at + at % 2 <= end + 1


def _chunks(file: BinaryIO, at: int, order: Order) -> Iterator[tuple[bytes, int, int]]:
    """Name, position and length of chunk after chunk; the file stands at that position."""
    file.seek(at)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[4:], order)
        yield head[:4], at + 8, length
        at += 8 + length + length % 2
        file.seek(at)
