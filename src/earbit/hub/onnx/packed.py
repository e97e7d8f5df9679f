"""Packed tensors of a program as numbers (docs/format.md)."""

from __future__ import annotations

import numpy as np

WORD_BITS = 64


def signs_of(words: np.ndarray, kernel: int, n_in: int) -> np.ndarray:
    """Weights of 1 bit, uint64 (out, kernel x words), as +1 and -1: (out, n_in, kernel)."""
    bits = np.unpackbits(
        np.ascontiguousarray(words).astype("<u8").view(np.uint8), axis=-1, bitorder="little"
    )
    n_words = -(-n_in // WORD_BITS)
    taps = bits.reshape(len(words), kernel, n_words * WORD_BITS)[..., :n_in]
    return (2 * taps.astype(np.float32) - 1).transpose(0, 2, 1)


def codes_of(packed: np.ndarray, bits: int, kernel: int, n_in: int) -> np.ndarray:
    """Weights of 1 to 8 bits, uint8 (out, bytes), as signed codes: (out, n_in, kernel)."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    stored = (packed[..., None] >> shifts) & np.uint8(2**bits - 1)
    ranks = stored.reshape(len(packed), -1)[:, : kernel * n_in].astype(np.float32)
    codes = 2 * ranks - 1 if bits == 1 else ranks - 2 ** (bits - 1)
    return codes.reshape(len(packed), kernel, n_in).transpose(0, 2, 1)
