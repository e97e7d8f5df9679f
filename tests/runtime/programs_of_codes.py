"""Small programs of every op that reads or makes codes."""

import numpy as np
from program_parts import PLAIN, floats, front_end, packed, words


def codes(program):
    def coded(value, bits, seed, *, unsigned=0):
        return program.add(
            "quantize",
            [value],
            ints={"bits": bits, "unsigned": unsigned},
            floats={"scale": 0.1, "factor": 1.0},
            tensors={"shift": floats(seed, 12)},
        )

    def affine(seed):
        return {"scale": floats(seed, 12), "bias": floats(seed + 1, 12)}

    def octets(seed, n_bytes):
        random = np.random.default_rng(seed)
        return {"weight": random.integers(0, 256, (12, n_bytes), dtype=np.uint8)}

    value = front_end(program, 12)
    local = {**PLAIN, "kernel": 3, "pad_left": 1, "pad_right": 1, "groups": 3}
    value = program.add(
        "conv_i8",
        [coded(value, 8, 33)],
        ints=local | {"weight_bits": 8},
        tensors=octets(34, 12) | affine(35),
    )
    value = program.add(
        "gemm_i8",
        [coded(value, 4, 37, unsigned=1)],
        ints=PLAIN | {"weight_bits": 4},
        tensors=octets(38, 6) | affine(39),
    )
    value = program.add(
        "conv_planes",
        [coded(value, 4, 41)],
        ints=local,
        tensors={"weight": words(42, 12, 3, 4)} | affine(43),
    )
    value = program.add(
        "gemm_planes",
        [coded(value, 2, 45, unsigned=1)],
        ints=PLAIN,
        tensors={"weight": words(46, 12, 1, 12)} | affine(47),
    )
    value = program.add(
        "depthwise_i8",
        [coded(value, 4, 56)],
        ints={"kernel": 5, "stride": 1, "pad_left": 2, "pad_right": 2, "weight_bits": 4},
        tensors=octets(57, 3) | affine(58),
    )
    one_bit = program.add("unpack", [packed(program, value, 12)], ints={"unsigned": 0})
    numbers = {"q_scale": 0.1, "k_scale": 0.2, "prob_scale": 0.01, "v_scale": 0.5}
    value = program.add(
        "attention_i8",
        [coded(value, 8, 49), one_bit, coded(value, 2, 50)],
        ints={"heads": 2, "radius": 9, "prob_bits": 4},
        floats=numbers,
    )
    frequency = {"frequency": floats(60, 6)}
    distances = program.add("sinusoids", [value], ints={"columns": 12}, tensors=frequency)
    operands = [coded(value, 8, 61), coded(value, 4, 62), one_bit, coded(distances, 8, 63)]
    return [
        program.add(
            "relative_attention_i8",
            [*operands, coded(value, 2, 64)],
            ints={"heads": 2, "prob_bits": 8},
            floats=numbers | {"p_scale": 0.3, "r_scale": 0.05},
        )
    ]
