"""What small programs are made of: seeded tensors, and the ops that most of them begin with."""

import numpy as np

from earbit.export.program import WAVEFORM

PLAIN = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
CUT = {**PLAIN, "kernel": 20, "stride": 10}


def floats(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def words(seed, n_rows, kernel, n_bits):
    """Random weight bits (n_rows, kernel x words), zero beyond n_bits of each group of words."""
    bits = np.random.default_rng(seed).integers(0, 2, (n_rows, kernel, -(-n_bits // 64) * 64))
    bits[..., n_bits:] = 0
    octets = np.packbits(bits.astype(np.uint8).reshape(n_rows, -1), axis=1, bitorder="little")
    return octets.view("<u8").astype(np.uint64)


def limits(seed, n):
    return np.random.default_rng(seed).integers(-4, 5, n).astype(np.int32)


def front_end(program, width):
    weight = {"weight": floats(1, width, CUT["kernel"]), "bias": floats(2, width)}
    return program.add("conv_f32", [WAVEFORM], ints=CUT, tensors=weight)


def packed(program, value, width, groups=1):
    threshold = {"threshold": floats(3, width)}
    return program.add("pack", [value], ints={"groups": groups}, tensors=threshold)
