"""How much of a wav file is missing: libsndfile reads what is there and keeps silent."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

OPEN_LENGTHS = (0, 2**32 - 1)
"""What a program writes that does not know yet how long its sound will be."""


def missing_bytes(path: Path) -> int:
    """Bytes of sound that the header of a RIFF or RF64 wav file promises and the file lacks.

    0 for other formats and for a header that leaves the length open.
    """
    with path.open("rb") as file:
        kind, _, form = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if kind not in (b"RIFF", b"RF64") or form != b"WAVE":
            return 0
        return _missing_data(file, os.fstat(file.fileno()).st_size)


def _missing_data(file: BinaryIO, file_bytes: int) -> int:
    """Looks for the chunk of sound; a file without one is for the decoder to refuse."""
    long_size = 0
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        start = file.tell()
        if name == b"ds64":
            # EBU Tech 3306: sizes of the file, of the sound, of samples, 64 bits each.
            _, long_size = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))
        if name == b"data":
            size = long_size if size in OPEN_LENGTHS else size
            return max(0, start + size - file_bytes)
        file.seek(start + size + size % 2)
    return 0
