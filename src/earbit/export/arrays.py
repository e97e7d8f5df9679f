"""Converts tensors of a model to the numpy arrays of a program."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from earbit.quantize.codes import code_range
from earbit.quantize.quantizers import ActivationQuantizer, WeightQuantizer
from earbit.quantize.weights import weight_bits


def array(tensor: Tensor) -> np.ndarray:
    """A detached float32 copy in numpy."""
    values: np.ndarray = tensor.detach().cpu().float().numpy()
    return values


def step_of(quantizer: ActivationQuantizer | None) -> np.float32:
    """The value of one code of a quantizer."""
    assert quantizer is not None
    return np.float32(array(quantizer.step()))


def pack_weight(weight: Tensor, sign: np.ndarray | None = None) -> np.ndarray:
    """Signs of (C_out, C_in[, taps]) as uint64 (C_out, taps * words), taps at word borders.

    sign: (C_out,), negative for outputs whose weight signs, and thus products, are inverted.
    """
    bits: np.ndarray = weight_bits(weight.detach()).cpu().numpy()
    if bits.ndim == 2:
        bits = bits[:, :, None]
    if sign is not None:
        bits = bits ^ (sign < 0)[:, None, None]
    return packed_rows(bits.transpose(0, 2, 1)).reshape(len(bits), -1)


def packed_rows(bits: np.ndarray) -> np.ndarray:
    """Packs bools (..., n) into uint64 (..., words), padded with zeros."""
    n_words = -(-bits.shape[-1] // 64)
    padded = np.zeros((*bits.shape[:-1], n_words * 64), np.uint8)
    padded[..., : bits.shape[-1]] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8").astype(np.uint64)


def pack_codes(weight: Tensor, quantizer: WeightQuantizer) -> np.ndarray:
    """Codes of (C_out, C_in[, taps]) as uint8 (C_out, bytes), tap by tap, 8 / bits to a byte.

    A code is stored as its rank in its set, with the first code in the lowest bits of a byte.
    """
    bits = quantizer.bits
    codes = array(quantizer(weight.detach())).astype(np.int64)
    # The two codes of one bit, -1 and 1, differ by 2.
    stored = codes > 0 if bits == 1 else codes - code_range(bits, "signed")[0]
    rows = tap_by_tap(stored.astype(np.uint8))
    per_byte = 8 // bits
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % per_byte)))
    shifts = np.arange(per_byte, dtype=np.uint8) * np.uint8(bits)
    packed: np.ndarray = (rows.reshape(len(rows), -1, per_byte) << shifts).sum(-1, dtype=np.uint8)
    return packed


def tap_by_tap(weight: np.ndarray) -> np.ndarray:
    """A weight (C_out, C_in[, taps]) as rows in the order of windows: (C_out, taps * C_in)."""
    if weight.ndim == 3:
        weight = weight.transpose(0, 2, 1)
    return weight.reshape(len(weight), -1)
