"""Chunks of RIFF and IFF files: four-byte name, four-byte length, content padded to even length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Literal

Order = Literal["little", "big"]


def chunks(file: BinaryIO, at: int, order: Order) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, position and length of each chunk, with the file at that position."""
    file.seek(at)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[4:], order)
        yield head[:4], at + 8, length
        at += 8 + length + length % 2
        file.seek(at)
