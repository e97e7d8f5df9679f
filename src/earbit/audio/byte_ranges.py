"""A virtual file for decoders, made of ranges of a file and bytes in memory."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import BinaryIO

Range = tuple[int, int] | bytes
"""Start and end of a range of the file, or bytes in its place."""


class ByteRanges:
    """Ranges of `file` as one seekable file; soundfile opens it as a virtual file.

    claimed_bytes: reported length, if it differs from that of the ranges.  Reads end where the
    ranges end, except that the last 128 bytes of the claimed length are zero.
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
        """The error of a failed read, since exceptions cannot pass through the decoder."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Works like `io.IOBase.seek`."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._claimed_bytes}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """Position in bytes."""
        return self._at

    def read(self, n_bytes: int) -> bytes:
        """Reads at most `n_bytes`, fewer at the end or after an error."""
        found = bytearray(n_bytes)
        return bytes(found[: self.readinto(memoryview(found))])

    def readinto(self, target: memoryview) -> int:
        """Fills `target` with the available bytes and returns their number."""
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
        # libsndfile looks for a tag at the end of a supposed mp3.
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
