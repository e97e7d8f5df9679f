"""Checksums of the tensors of a program file (docs/format.md), verified by the loader."""

from __future__ import annotations

import numpy as np

STEP = np.uint64(0x9E3779B97F4A7C15)
FACTOR = np.uint64(0xD6E8FEB86659FD93)


def checksum(tensor: np.ndarray) -> str:
    """Checksum of the bytes of a tensor, as 16 hexadecimal digits."""
    octets = np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
    words = np.pad(octets, (0, -len(octets) % 8)).view("<u8")
    x = words + np.arange(1, len(words) + 1, dtype=np.uint64) * STEP
    for _ in range(2):
        x = _folded(x) * FACTOR
    return f"{int(_folded(x).sum(dtype=np.uint64)):016x}"


def _folded(x: np.ndarray) -> np.ndarray:
    folded: np.ndarray = x ^ (x >> np.uint64(32))
    return folded
