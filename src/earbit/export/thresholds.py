"""Exact thresholds of binarizers, found with the arithmetic of training.

A bit of an activation is a monotone function of a float or of an integer product.  So it equals one
comparison with a threshold, which is found by bisection over all float32 numbers, or over all
values of the product.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Floats = np.ndarray
"""float32 (channels,)."""
Bits = Callable[[Floats], np.ndarray]
"""Monotone: one float32 per channel -> the bit that it becomes, bool (channels,)."""


def signed_bits(shift: Floats) -> Bits:
    """Bits of the signed set {-a, +a}: 1 where x + shift >= 0."""
    return lambda x: (x + shift) >= np.float32(0)


def unsigned_bits(shift: Floats, scale: np.float32) -> Bits:
    """Bits of the set {0, a} after a ReLU: 1 where relu(x) + shift > a/2."""
    return lambda x: (np.maximum(x, np.float32(0)) + shift) > scale / np.float32(2)


def float_threshold(bits: Bits, n_channels: int) -> Floats:
    """The smallest float32 with bit 1 per channel; -inf if all bits are 1, +inf if all are 0."""
    low = np.full(n_channels, _ordinal(np.float32(-np.inf)))
    high = np.full(n_channels, _ordinal(np.float32(np.inf)))
    always = bits(np.full(n_channels, -np.inf, np.float32))
    never = ~bits(np.full(n_channels, np.inf, np.float32))
    while np.any(high - low > 1):
        middle = (low + high) // 2
        is_one = bits(_from_ordinal(middle))
        high = np.where(is_one, middle, high)
        low = np.where(is_one, low, middle)
    threshold = _from_ordinal(high)
    threshold[always] = -np.inf
    threshold[never] = np.inf
    return threshold


def integer_threshold(
    bits: Bits, of_product: Callable[[np.ndarray], Floats], n_bits: int, n_channels: int
) -> np.ndarray:
    """The smallest integer product with bit 1 per channel: int32 (channels,).

    of_product: increasing function from an integer product to a float;  n_bits: length of the
    product, whose values lie in [-n_bits, n_bits].  The result is n_bits + 1 if all bits are 0.
    """
    low = np.full(n_channels, -n_bits - 1, np.int64)
    high = np.full(n_channels, n_bits + 1, np.int64)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        is_one = bits(of_product(middle))
        high = np.where(is_one, middle, high)
        low = np.where(is_one, low, middle)
    return high.astype(np.int32)


def _ordinal(x: np.float32) -> np.int64:
    """Rank of a float32 in the order of all float32 numbers."""
    pattern = np.int64(np.frombuffer(np.float32(x).tobytes(), np.int32)[0])
    return pattern if pattern >= 0 else np.int64(-(2**31)) - pattern


def _from_ordinal(ordinal: np.ndarray) -> Floats:
    pattern = np.where(ordinal >= 0, ordinal, np.int64(-(2**31)) - ordinal)
    return pattern.astype(np.int32).view(np.float32).copy()
