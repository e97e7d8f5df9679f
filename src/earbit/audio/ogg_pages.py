"""Pages of Ogg files: detects chained and truncated files (RFC 3533)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import BinaryIO

HEADER_BYTES = 27
MAX_PAGE_BYTES = HEADER_BYTES + 255 + 255 * 255
BEGINS, ENDS = 0x02, 0x04
"""Flags of the first and of the last page of a logical stream."""
REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
SOUND = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")
"""First bytes of a logical audio stream."""


@dataclass(slots=True)
class OggLink:
    """Logical streams that begin together; a chained file has several links."""

    start: int
    end: int
    open_streams: set[int] = field(default_factory=set)
    """Serial numbers of audio streams without a last page."""
    has_data: bool = False
    """Whether a page follows the pages that begin streams."""
    has_cut_page: bool = False
    """Whether another file begins inside a page."""
    has_damage: bool = False
    """Whether a page is missing, or the checksum of one is wrong."""
    next_page: dict[int, int] = field(default_factory=dict)
    """Expected sequence number of the next page by serial number."""

    @property
    def breaks_off(self) -> bool:
        """Whether the end of an audio stream is missing."""
        return self.has_cut_page or bool(self.open_streams)

    def check_page(self, serial: int, number: int, page: bytes) -> None:
        """Notes a page that is out of order or damaged; decoders drop it without an error."""
        is_next = self.next_page.get(serial, number) == number
        self.next_page[serial] = number + 1
        self.has_damage |= not is_next or _checksum(page) != int.from_bytes(page[22:26], "little")


def ogg_links(file: BinaryIO, n_bytes: int) -> list[OggLink]:
    """Reads the links of an Ogg file, in each of which last pages may be missing."""
    links: list[OggLink] = []
    at = 0
    while (at := _find_page(file, at, n_bytes)) < n_bytes:
        file.seek(at)
        head = file.read(HEADER_BYTES + 255)
        flags, serial = head[5], int.from_bytes(head[14:18], "little")
        body_at = HEADER_BYTES + head[26]
        end = at + body_at + sum(head[HEADER_BYTES:body_at])
        if end > n_bytes:
            break  # the page itself is truncated
        inner = _page_within(file, at, end)
        if inner:
            if links:
                links[-1].has_cut_page = links[-1].has_data = True
            at = inner
            continue
        if flags & BEGINS:
            if not links or links[-1].has_data:
                links.append(OggLink(at, end))
            file.seek(at + body_at)
            if file.read(8).startswith(SOUND):
                links[-1].open_streams.add(serial)
        elif links:
            links[-1].has_data = True
        if links:
            links[-1].end = end
            file.seek(at)
            links[-1].check_page(serial, int.from_bytes(head[18:22], "little"), file.read(end - at))
            if flags & ENDS:
                links[-1].open_streams.discard(serial)
        at = end
    return links


def _checksum(page: bytes) -> int:
    """CRC of a page with its own field as zeros: polynomial 0x04c11db7, from 0, not reflected.

    zlib computes the reflected form, so bits are reversed before and after.
    """
    blank = page[:22] + bytes(4) + page[26:]
    reflected = zlib.crc32(blank.translate(REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)


def _page_within(file: BinaryIO, at: int, end: int) -> int:
    """Position of a page inside another page that no page follows; 0 if there is none."""
    file.seek(end)
    if file.read(4) in (b"OggS", b""):
        return 0
    file.seek(at + 4)
    return at + 4 + place if (place := file.read(end - at - 4).find(b"OggS")) >= 0 else 0


def _find_page(file: BinaryIO, at: int, n_bytes: int) -> int:
    """Finds the first page header at or after `at`, or the end of the file."""
    file.seek(at)
    if file.read(4) == b"OggS" and at + HEADER_BYTES <= n_bytes:
        return at
    while at < n_bytes:
        file.seek(at)
        block = file.read(MAX_PAGE_BYTES)
        place = block.find(b"OggS")
        if place >= 0 and at + place + HEADER_BYTES <= n_bytes:
            return at + place
        if place >= 0 or len(block) < MAX_PAGE_BYTES:
            break
        at += len(block) - 3
    return n_bytes
