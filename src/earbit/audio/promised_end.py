"""Finds the end of the sound in containers whose length libsndfile does not check."""

from __future__ import annotations

from typing import BinaryIO

from earbit.audio.chunks import Order, chunks

OPEN_LENGTH = 0x7F000000
"""Minimum 32-bit length, besides 0, that means an unknown length (sox: 0x7F000008)."""
W64_RIFF, W64_DATA = b"riff\x2e\x91\xcf\x11", b"data\xf3\xac\xd3\x11"
"""First halves of the 16-byte identifiers of W64."""


def missing_bytes(file: BinaryIO, n_bytes: int) -> int:
    """Number of bytes missing from the sound whose length a header states; see `promised_end`."""
    return max(0, promised_end(file) - n_bytes)


def promised_end(file: BinaryIO) -> int:
    """End of the sound that an AIFF, AU, CAF, W64 or SPHERE header states.

    0 for other formats and for headers without a length.
    """
    file.seek(0)
    head = file.read(32)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _end_of_aiff(file)
    if head[:4] in (b".snd", b"dns."):
        return _end_of_au(head)
    if head[:4] == b"caff":
        return _end_of_caf(file)
    if head.startswith(W64_RIFF):
        return _end_of_w64(file)
    if head.startswith(b"NIST_1A\n"):
        return _end_of_sphere(file)
    return 0


def _end_of_aiff(file: BinaryIO) -> int:
    for name, at, length in chunks(file, 12, "big"):
        if name == b"SSND":
            return at + length if length < OPEN_LENGTH else 0
    return 0


def _end_of_au(head: bytes) -> int:
    order: Order = "big" if head[:4] == b".snd" else "little"
    start, length = (int.from_bytes(head[at : at + 4], order) for at in (4, 8))
    return start + length if length < OPEN_LENGTH else 0


def _end_of_caf(file: BinaryIO) -> int:
    at = 8
    while True:
        file.seek(at)
        head = file.read(12)
        length = int.from_bytes(head[4:], "big", signed=True)  # -1: to the end of the file
        if len(head) < 12 or length < 0:
            return 0
        if head[:4] == b"data":
            return at + 12 + length
        at += 12 + length


def _end_of_w64(file: BinaryIO) -> int:
    at = 40  # after the identifiers of file and form
    while True:
        file.seek(at)
        head = file.read(24)
        length = int.from_bytes(head[16:], "little")  # includes these 24 bytes
        if len(head) < 24 or length < 24 or length >= 1 << 62:
            return 0
        if head.startswith(W64_DATA):
            return at + length
        at += (length + 7) // 8 * 8


def _end_of_sphere(file: BinaryIO) -> int:
    """End of uncompressed samples, from the text header with lines `name -type value`."""
    file.seek(8)
    size = file.read(8).strip()
    file.seek(0)
    n_header = int(size) if size.isdigit() else 1024
    lines = file.read(min(n_header, 1 << 16)).decode("latin-1").splitlines()
    values = {line.split()[0]: line.split()[-1] for line in lines if len(line.split()) == 3}
    if values.get("sample_coding", "pcm") not in ("pcm", "ulaw", "alaw"):
        return 0
    counts = [values.get(f, "0") for f in ("sample_count", "sample_n_bytes", "channel_count")]
    if not all(count.isdigit() for count in counts):
        return 0
    n_samples, n_sample_bytes, n_channels = map(int, counts)
    return n_header + n_samples * n_sample_bytes * n_channels
