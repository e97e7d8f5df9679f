"""Frames of MPEG audio (mp3, mp2, mp1): positions, number, and encoder delay and padding.

Sources: ISO/IEC 11172-3 and 13818-3 (frame header), id3.org (ID3v2), "MP3 Info Tag revision 1"
(Xing, Info and LAME fields).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO, NamedTuple

BLOCK_BYTES = 1 << 18
MAX_JUNK_BYTES = 1 << 20
"""Maximum number of bytes before the first frame, except tags."""
MAX_FRAME_BYTES = 4_608
"""Upper bound on the length of a frame of any layer and rate, including free format."""
DECODER_DELAY = 529
"""Delay of a layer 3 decoder in samples."""
BITRATES_KBPS = {
    # (is MPEG-1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
BEGINNING = re.compile(rb"\xff[\xe0-\xff]|ID3|TAG|APETAGEX")
"""Start of a frame or a tag."""
RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Sampling rates by version bits: MPEG-1, MPEG-2, MPEG-2.5."""


class Header(NamedTuple):
    """The four-byte header of a frame."""

    kind: tuple[int, int, int, bool]
    """Version bits, layer, rate in Hz, is mono: constant within a stream."""
    n_bytes: int
    """Length of the frame with its header; 0 in free format, which does not state it."""
    pad_bytes: int
    n_samples: int

    @property
    def tag_at(self) -> int:
        """Offset of an Xing or Info tag, after the side information of layer 3."""
        version, _, _, is_mono = self.kind
        return 4 + ((17 if is_mono else 32) if version == 3 else (9 if is_mono else 17))


@dataclass(slots=True)
class MpegStream:
    """Frames of one kind in file order."""

    rate_hz: int
    n_samples_per_frame: int
    n_promised: int = 0
    """Number of frames in the first Xing, Info or VBRI tag; 0 without a tag."""
    n_delay: int = 0
    """Encoder delay at the beginning, in samples."""
    n_padding: int = 0
    """Encoder padding at the end, in samples."""
    ranges: list[tuple[int, int]] = field(default_factory=list)
    """Total length of the frames in bytes."""
    n_frames: int = 0

    @property
    def n_samples(self) -> int:
        """Samples of sound.  In joined files, the padding of the first is not at the end."""
        all_samples = self.n_frames * self.n_samples_per_frame
        n_padding = self.n_padding if self.n_frames == self.n_promised else 0
        return max(0, all_samples - self.n_delay - n_padding)

    def add(self, start: int, end: int) -> None:
        """Adds a frame."""
        if self.ranges and self.ranges[-1][1] == start:
            self.ranges[-1] = (self.ranges[-1][0], end)
        else:
            self.ranges.append((start, end))
        self.n_frames += 1


@dataclass(slots=True)
class MpegFile:
    """All streams of a file: one, unless files of different rates or channels were joined."""

    streams: list[MpegStream] = field(default_factory=list)
    n_missing_bytes: int = 0
    """Missing bytes of a truncated last frame."""
    n_damaged_bytes: int = 0
    """Bytes between frames of layer 3, neither frames nor tags, that later frames refer to."""


def mpeg_file(file: BinaryIO, start: int, end: int) -> MpegFile:
    """Finds every frame between two positions of a file. Returns no stream without a frame.

    The tag frame at the beginning of a stream is excluded, with the encoder delay and padding that
    it states.  Tags and other bytes between frames are skipped, as in joined files.  A tag frame
    within a stream counts as a frame of silence, as in decoders without support for tags.
    """
    found, kind = MpegFile(), None
    view = _View(file, end)
    for header, at in _frames(view, start, found):
        if header.kind != kind:
            kind = header.kind
            stream = MpegStream(kind[2], header.n_samples)
            found.streams.append(stream)
            if _read_tag(view.bytes_at(at, min(header.n_bytes, 400)), header, stream):
                continue
        found.streams[-1].add(at, at + header.n_bytes)
    return found


def begins_with_frames(file: BinaryIO, n_bytes: int, at: int = 0) -> bool:
    """Whether frames begin at a position of a file, after optional tags."""
    view = _View(file, n_bytes)
    while after := _after_tag(view, at):
        at = after
    header = parse_header(view.int_at(at))
    return header is not None and header.n_bytes > 0 and _is_confirmed(view, at, header)


def _frames(view: _View, start: int, found: MpegFile) -> Iterator[tuple[Header, int]]:
    """Complete frames with their positions. Stores in `found` how much of the last is missing."""
    at, kind, free_bytes = start, None, 0
    is_contiguous = False
    junk_bytes = junk_before = 0
    while at < view.end and (kind is not None or junk_bytes < MAX_JUNK_BYTES):
        header = parse_header(view.int_at(at))
        if header is not None and not header.n_bytes:
            if not free_bytes or header.kind != kind:
                free_bytes = _free_frame_bytes(view, at, header)
            n_bytes = free_bytes + header.pad_bytes if free_bytes else 0
            header = header._replace(n_bytes=n_bytes) if n_bytes else None
        is_next = header is not None and is_contiguous and header.kind == kind
        if header is not None and (is_next or _is_confirmed(view, at, header)):
            if at + header.n_bytes > view.end:
                found.n_missing_bytes = at + header.n_bytes - view.end
                return
            if header.kind == kind and not is_contiguous and _needs_earlier(view, at, header):
                found.n_damaged_bytes += junk_bytes - junk_before
            yield header, at
            junk_before = junk_bytes
            kind = header.kind
            at += header.n_bytes
            is_contiguous = True
            continue
        if is_contiguous and view.end - at < 4 and view.bytes_at(at, 1) == b"\xff":
            found.n_missing_bytes = 4 - (view.end - at)  # at the least
            return
        is_contiguous = False
        after = _after_tag(view, at)
        if not after:
            after = view.find_beginning(at + 1)
            junk_bytes += after - at
        at = after


def _needs_earlier(view: _View, at: int, header: Header) -> bool:
    """Whether a frame of layer 3 uses bytes of earlier frames.

    The first frame of a file never does, so this tells damage from bytes between joined files.
    """
    if header.kind[1] != 3:
        return False
    is_protected = not view.int_at(at) >> 16 & 1
    word = int.from_bytes(view.bytes_at(at + (6 if is_protected else 4), 2))
    return word >> (7 if header.kind[0] == 3 else 8) > 0


def _is_confirmed(view: _View, at: int, header: Header) -> bool:
    """Whether another frame of the kind, a tag or the end of the file follows."""
    after = at + header.n_bytes
    if after >= view.end:
        return after == view.end
    following = parse_header(view.int_at(after))
    is_alike = following is not None and following.kind == header.kind
    return is_alike or _after_tag(view, after) > 0


def _free_frame_bytes(view: _View, at: int, header: Header) -> int:
    """Length of a free-format frame without padding: the distance to the next header."""
    after = at + 4
    while (after := view.find_beginning(after)) < min(view.end, at + MAX_FRAME_BYTES):
        following = parse_header(view.int_at(after))
        if following is not None and following.kind == header.kind and not following.n_bytes:
            n_bytes = after - at - header.pad_bytes
            third = parse_header(view.int_at(after + n_bytes + following.pad_bytes))
            if third is not None and third.kind == header.kind and not third.n_bytes:
                return n_bytes
        after += 1
    return 0


@lru_cache(maxsize=4096)
def parse_header(word: int) -> Header | None:
    """Parses a big-endian frame header of four bytes; None if it is invalid."""
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    bitrate, rate = word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer == 4 or bitrate == 15 or rate == 3:
        return None
    rate_hz = RATES_HZ[version][rate]
    n_samples = {1: 384, 2: 1152, 3: 1152 if version == 3 else 576}[layer]
    slot_bytes = 4 if layer == 1 else 1
    pad_bytes = slot_bytes * (word >> 9 & 1)
    n_bytes = 0
    if bitrate:
        bits_per_s = 1000 * BITRATES_KBPS[version == 3, layer][bitrate - 1]
        n_bytes = slot_bytes * (n_samples * bits_per_s // (8 * slot_bytes * rate_hz)) + pad_bytes
    is_mono = word >> 6 & 3 == 3
    return Header((version, layer, rate_hz, is_mono), n_bytes, pad_bytes, n_samples)


def _read_tag(frame: bytes, header: Header, stream: MpegStream) -> bool:
    """Whether a frame is an Xing, Info or VBRI tag. Copies its values to `stream`."""
    if header.kind[1] != 3:
        return False
    if frame[36:40] == b"VBRI":
        stream.n_promised = int.from_bytes(frame[50:54])
        return True
    # A checksum of two bytes may follow the header.
    for at in (header.tag_at, header.tag_at + 2):
        if frame[at : at + 4] not in (b"Xing", b"Info"):
            continue
        flags = int.from_bytes(frame[at + 4 : at + 8])
        stream.n_promised = int.from_bytes(frame[at + 8 : at + 12]) if flags & 1 else 0
        # Optional fields by flag: frames, bytes, table of contents, quality.
        lame = at + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1)
        lame += 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
        both = int.from_bytes(frame[lame + 21 : lame + 24])
        if len(frame) >= lame + 24 and frame[lame] and both:
            stream.n_delay = (both >> 12) + DECODER_DELAY
            stream.n_padding = max(0, (both & 0xFFF) - DECODER_DELAY)
        return True
    return False


def _after_tag(view: _View, at: int) -> int:
    """The end of a tag that begins at a position. 0 without a complete tag."""
    head = view.bytes_at(at, 32)
    end = 0
    if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 128:
        n_bytes = sum(byte << 7 * place for place, byte in enumerate(head[9:5:-1]))
        end = at + 10 + n_bytes + (10 if head[5] & 0x10 else 0)
    elif head[:3] == b"TAG":
        end = at + 128
    elif head[:8] == b"APETAGEX" and len(head) == 32:
        # The size includes the footer, which is last.  A header precedes the rest.
        is_header = int.from_bytes(head[20:24], "little") & 0x20000000
        end = at + 32 + (int.from_bytes(head[12:16], "little") if is_header else 0)
    return end if end <= view.end else 0


class _View:
    """Reads bytes of a file up to `end` in blocks."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        self.file, self.end = file, end
        self.block, self.block_at = b"", 0

    def bytes_at(self, at: int, n_bytes: int) -> bytes:
        """Returns `n_bytes`, or fewer at the end."""
        start = at - self.block_at
        if start < 0 or start + n_bytes > len(self.block):
            self.file.seek(at)
            self.block = self.file.read(max(0, min(BLOCK_BYTES, self.end - at)))
            self.block_at, start = at, 0
        return self.block[start : start + n_bytes]

    def int_at(self, at: int) -> int:
        """Big-endian value of four bytes, or of fewer at the end, which is not a header."""
        return int.from_bytes(self.bytes_at(at, 4))

    def find_beginning(self, at: int) -> int:
        """Finds the next possible start of a frame or a tag, or the end."""
        while at < self.end:
            # Never the whole block again: a bytewise search would read it as often.
            self.bytes_at(at, min(8, self.end - at))
            start = at - self.block_at
            match = BEGINNING.search(self.block, start)
            if match is not None:
                return self.block_at + match.start()
            at = max(at + 1, self.block_at + len(self.block) - 7)
        return self.end
