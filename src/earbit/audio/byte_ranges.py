"""A file made of ranges of another file and of bytes in memory, for a decoder to read."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import BinaryIO

Range = tuple[int, int] | bytes
"""First byte and end of a part of the file, or bytes that stand for it."""


class ByteRanges:
    """Ranges of `file` as one seekable file; soundfile opens it as a virtual file.

    claimed_bytes: the length to report where it is not that of the ranges.  Reads end where the
    ranges end, apart from the last 128 bytes of the claimed length, which are zero.
    """

    def __init__(
        self, file: BinaryIO, ranges: Sequence[Range], claimed_bytes: int | None = None
    ) -> None:
        self._file = file
        self._ranges = ranges
        self._ends = list(accumulate(map(_length, ranges)))
        self._n_bytes = self._ends[-1] if self._ends else 0
        self._claimed_bytes = self._n_bytes if claimed_bytes is None else claimed_bytes
        self._at = 0
        self.error: OSError | None = None
        """Why the file could not be read.  An exception cannot pass through the decoder."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves as `io.IOBase.seek` does."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._claimed_bytes}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """The position, in bytes."""
        return self._at

    def read(self, n_bytes: int) -> bytes:
        """At most `n_bytes`, fewer at the end or after an error."""
        found = bytearray(n_bytes)
        return bytes(found[: self.readinto(memoryview(found))])

    def readinto(self, target: memoryview) -> int:
        """Fills `target` as far as there are bytes; returns their number."""
        done = 0
        while done < len(target) and self._at < self._n_bytes:
            index = bisect_right(self._ends, self._at)
            one = self._ranges[index]
            left = self._ends[index] - self._at
            n_bytes = min(left, len(target) - done)
            start = _length(one) - left
            if isinstance(one, bytes):
                chunk = one[start : start + n_bytes]
            else:
                chunk = self._read_file(one[0] + start, n_bytes)
            target[done : done + len(chunk)] = chunk
            done += len(chunk)
            self._at += len(chunk)
            if len(chunk) < n_bytes:
                return done
        # libsndfile looks for a tag at the end of what it takes for an mp3.
        if not done and self._claimed_bytes - 128 <= self._at < self._claimed_bytes:
            done = min(len(target), self._claimed_bytes - self._at)
            target[:done] = bytes(done)
            self._at += done
        return done

    def _read_file(self, start: int, n_bytes: int) -> bytes:
        try:
            self._file.seek(start)
            return self._file.read(n_bytes)
        except OSError as error:
            self.error = error
            return b""


def _length(one: Range) -> int:
    return len(one) if isinstance(one, bytes) else one[1] - one[0]
