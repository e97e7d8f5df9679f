"""Places of the members of a tar archive, so that they can be read in any order."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BLOCK_BYTES = 512
REGULAR = b"0\0"
"""Types of headers of plain files."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive."""

    archive: Path
    name: str
    first_byte: int
    n_bytes: int


def tar_members(archive: Path) -> Iterator[Member]:
    """Yields the files of an archive whose bytes are all there.

    Reads the headers alone.  Raises OSError or tarfile.TarError where the archive cannot be read to
    its end.
    """
    n_bytes = archive.stat().st_size
    with archive.open("rb") as file:
        at = 0
        while (plain := _plain_header(file, at)) is not None:
            name, size = plain
            first = at + BLOCK_BYTES
            if first + size > n_bytes:
                raise tarfile.ReadError(f"unexpected end of data after {n_bytes} bytes")
            yield Member(archive, name, first, size)
            at = first + -(-size // BLOCK_BYTES) * BLOCK_BYTES
        # The end, damage, or a header for long or other names, which Python's reader knows.
        file.seek(at)
        with tarfile.open(fileobj=file, mode="r:", ignore_zeros=False) as tar:
            for info in tar:
                if info.offset_data + info.size > n_bytes:
                    raise tarfile.ReadError(f"unexpected end of data after {n_bytes} bytes")
                if info.isfile():
                    yield Member(archive, info.name, info.offset_data, info.size)


def _plain_header(file: BinaryIO, at: int) -> tuple[str, int] | None:
    """Name and size of a plain file with a header at a position; None for anything else.

    Source: POSIX.1-1988, ustar.
    """
    file.seek(at)
    head = file.read(BLOCK_BYTES)
    if len(head) < BLOCK_BYTES or head[156] not in REGULAR or head[345]:
        return None
    try:
        size, checksum = (int(head[a:b].strip(b" \0"), 8) for a, b in ((124, 136), (148, 156)))
        name = head[:100].rstrip(b"\0").decode("ascii")
    except ValueError:
        return None
    found = sum(head) - sum(head[148:156]) + 8 * ord(" ")
    return (name, size) if name and found == checksum else None
