"""Numpy statements of what bits mean, and ways to feed any matrix to a program.

A program starts from a waveform, (samples, 1).  A convolution with an identity as its weight, one
window per row, turns samples into rows of any width without changing a number.
"""

import numpy as np

from earbit import _core

PLAIN = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}


def packed(bits):
    """Bools (..., n) as uint64 (..., words), element i at bit i % 64 of word i // 64."""
    n_words = -(-bits.shape[-1] // 64)
    padded = np.zeros((*bits.shape[:-1], n_words * 64), np.uint8)
    padded[..., : bits.shape[-1]] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8").astype(np.uint64)


def unpacked(words, n_bits):
    """The inverse of `packed`: bools (..., n_bits)."""
    octets = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(octets, axis=-1, bitorder="little")[..., :n_bits].astype(bool)


def float_rows(program, n_cols):
    """A value (rows, n_cols) that holds the waveform row by row."""
    ints = {**PLAIN, "kernel": n_cols, "stride": n_cols}
    weight = np.eye(n_cols, dtype=np.float32)
    return program.add("conv_f32", [0], ints, {}, {"weight": weight})


def bit_rows(program, n_cols, n_groups=1):
    """The signs of the waveform as bits, n_cols to a row, split over groups."""
    rows = float_rows(program, n_cols)
    threshold = np.zeros(n_cols, np.float32)
    return program.add("pack", [rows], {"groups": n_groups}, {}, {"threshold": threshold})


def waveform_of(bits):
    """The waveform of which `bit_rows` makes these bools (rows, n_cols)."""
    return np.where(bits, np.float32(1), np.float32(-1)).ravel()


def run_one(op, x, *, ints=None, floats=None, tensors=None, threads=1):
    """One op on a float matrix."""
    program = _core.Program()
    value = program.add(
        op, [float_rows(program, x.shape[1])], ints or {}, floats or {}, tensors or {}
    )
    return program.run(np.ascontiguousarray(x, np.float32).ravel(), [value], threads)[0]


def windows(bits, kernel, stride, pad_left, pad_right):
    """Windows (n, kernel, channels) over bools (rows, channels); padding frames are False."""
    frames = np.pad(bits, ((pad_left, pad_right), (0, 0)))
    n = (len(frames) - kernel) // stride + 1
    return np.stack([frames[i * stride : i * stride + kernel] for i in range(n)])


def values(bits, is_unsigned):
    """What bits stand for: 0 and 1, or -1 and +1."""
    return bits.astype(np.int64) if is_unsigned else 2 * bits.astype(np.int64) - 1


def codes_of_bits(program, n_cols, n_groups=1, is_unsigned=0):
    """The signs of the waveform as codes of one bit, n_cols to a row."""
    bits = bit_rows(program, n_cols, n_groups)
    return program.add("unpack", [bits], {"unsigned": is_unsigned}, {}, {})


def quantized_rows(program, n_cols, bits, number_set):
    """The waveform, of whole codes, as codes, n_cols to a row; one bit: its signs."""
    is_unsigned = int(number_set == "unsigned")
    if bits == 1:
        return codes_of_bits(program, n_cols, is_unsigned=is_unsigned)
    ints, floats = {"bits": bits, "unsigned": is_unsigned}, {"scale": 1.0, "factor": 1.0}
    tensors = {"shift": np.zeros(n_cols, np.float32)}
    return program.add("quantize", [float_rows(program, n_cols)], ints, floats, tensors)
