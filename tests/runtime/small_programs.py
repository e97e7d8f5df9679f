"""Writes small valid programs that have every op between them: what the fuzzer starts from.

python tests/runtime/small_programs.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np

from earbit.export.program import WAVEFORM, Program, write_program

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


def norms(program):
    value = front_end(program, 12)
    for op in ("group_norm", "layer_norm"):
        tensors = {"weight": floats(4, 12), "bias": floats(5, 12)}
        value = program.add(op, [value], floats={"eps": 1e-5}, tensors=tensors)
    smooth = program.add("gelu", [value])
    ints = {**PLAIN, "kernel": 3, "pad_left": 1, "pad_right": 1, "groups": 3}
    local = program.add("conv_f32", [smooth], ints=ints, tensors={"weight": floats(6, 12, 12)})
    positive = program.add("relu", [local])
    tensors = {"weight": floats(4, 12), "bias": floats(5, 12)}
    value = program.add("layer_norm", [value, local], floats={"eps": 1e-5}, tensors=tensors)
    return [value, program.add("add", [smooth, positive])]


def products(program):
    bits = packed(program, front_end(program, 70), 70)
    ints = {**PLAIN, "kernel": 3, "stride": 2, "pad_left": 1, "unsigned": 0, "out_groups": 2}
    tensors = {"weight": words(7, 40, 3, 70), "threshold": limits(8, 40)}
    bits = program.add("conv_b1", [bits], ints=ints, tensors=tensors)
    program.bits["conv"] = bits
    ints = {**PLAIN, "groups": 2, "unsigned": 1, "out_groups": 1}
    tensors = {"weight": words(9, 10, 1, 20), "scale": floats(10, 10), "bias": floats(11, 10)}
    return [program.add("gemm_b1", [bits], ints=ints, tensors=tensors)]


def one_output_a_group(program):
    bits = packed(program, front_end(program, 48), 48, groups=48)
    ints = {**PLAIN, "kernel": 5, "pad_left": 2, "pad_right": 2, "groups": 48}
    tensors = {"weight": words(13, 48, 5, 1), "scale": floats(14, 48), "bias": floats(15, 48)}
    ints |= {"unsigned": 0, "out_groups": 1}
    return [program.add("conv_b1", [bits], ints=ints, tensors=tensors)]


def binary_attention(program):
    heads = packed(program, front_end(program, 36), 36, groups=2)
    numbers = {"score_scale": 0.1, "prob_half": 0.02}
    ints = {"head_dim": 18, "radius": 20}
    tensors = {"threshold": limits(12, 36)}
    program.bits["query"] = heads
    first = program.add("attention_b1", [heads] * 3, ints=ints, floats=numbers, tensors=tensors)
    ints = {"head_dim": 36, "radius": -1}
    return [program.add("attention_b1", [first] * 3, ints=ints, floats={**numbers, "scale": 0.5})]


def float_attention(program):
    value = front_end(program, 12)
    for radius in (-1, 9):
        ints = {"heads": 3, "radius": radius}
        value = program.add("attention_f32", [value] * 3, ints=ints, floats={"score_scale": 0.5})
    return [value]


def first_layer(program):
    tensors = {
        "weight": floats(16, 70, 20),
        "norm_weight": floats(17, 70),
        "norm_bias": floats(18, 70),
        "threshold": floats(19, 70),
    }
    ints = {"kernel": 20, "stride": 10}
    bits = program.add(
        "waveform_bits", [WAVEFORM], ints=ints, floats={"eps": 1e-5}, tensors=tensors
    )
    program.bits["first"] = bits
    ints = {**PLAIN, "unsigned": 1, "out_groups": 1}
    tensors = {"weight": words(20, 9, 1, 70), "scale": floats(21, 9), "bias": floats(22, 9)}
    return [program.add("gemm_b1", [bits], ints=ints, tensors=tensors)]


def convolution_module(program):
    gated = program.add("glu", [front_end(program, 24)])
    shape = {"kernel": 5, "stride": 1, "pad_left": 2, "pad_right": 2}
    bits = packed(program, gated, 12)
    tensors = {"weight": words(23, 12, 1, 5), "threshold": limits(24, 12)}
    turned = program.add("depthwise_b1", [bits], ints=shape | {"unsigned": 0}, tensors=tensors)
    program.bits["depthwise"] = turned
    tensors = {"weight": words(25, 12, 1, 5), "scale": floats(26, 12), "bias": floats(27, 12)}
    again = program.add("depthwise_b1", [turned], ints=shape | {"unsigned": 1}, tensors=tensors)
    tensors = {"weight": floats(28, 12, 5), "bias": floats(29, 12)}
    half = shape | {"stride": 2}
    smooth = program.add(
        "depthwise_f32", [program.add("silu", [again])], ints=half, tensors=tensors
    )
    return [program.add("repeat", [smooth, again], ints={"times": 2})]


def relative_attention(program):
    value = front_end(program, 12)
    frequency = {"frequency": floats(30, 6)}
    distances = program.add("sinusoids", [value], ints={"columns": 12}, tensors=frequency)
    biases = {"content_bias": floats(31, 12), "position_bias": floats(32, 12)}
    operands = [value, value, value, distances]
    score = {"score_scale": 0.5}
    seen = program.add(
        "relative_attention_f32", operands, ints={"heads": 3}, floats=score, tensors=biases
    )
    q = packed(program, seen, 12, groups=2)
    r = packed(program, distances, 12, groups=2)
    numbers = {"content_scale": 0.1, "position_scale": 0.2, "prob_half": 0.02, "scale": 0.5}
    operands = [q, q, q, r, q]
    return [program.add("relative_attention_b1", operands, ints={"head_dim": 6}, floats=numbers)]


def pattern_attention(program):
    value = front_end(program, 12)
    heads = {"stride": 4, "near_heads": 1, "first_far_head": 1}
    numbers = {"score_scale": 0.1, "prob_half": 0.02, "scale": 0.5}
    of_parts = {f"{part}_{name}": x for part in ("near", "far") for name, x in numbers.items()}
    for kind, more in (("fixed", {"expressivity": 2}), ("strided", {})):
        value = program.add(
            f"{kind}_attention_f32",
            [value] * 3,
            ints=heads | more | {"heads": 2},
            floats={"score_scale": 0.5},
        )
        bits = packed(program, value, 12, groups=2)
        value = program.add(
            f"{kind}_attention_b1", [bits] * 3, ints=heads | more | {"head_dim": 6}, floats=of_parts
        )
    return [value]


def pattern_attention_on_codes(program):
    value = front_end(program, 12)
    heads = {"stride": 4, "near_heads": 2, "first_far_head": 1, "heads": 2}
    numbers = {"q_scale": 0.1, "k_scale": 0.2, "prob_scale": 0.01, "v_scale": 0.5}
    of_parts = {f"{part}_{name}": x for part in ("near", "far") for name, x in numbers.items()}
    bits = {"near_prob_bits": 4, "far_prob_bits": 8}
    one_bit = program.add("unpack", [packed(program, value, 12)], ints={"unsigned": 0})
    for kind, more in (("fixed", {"expressivity": 2}), ("strided", {})):
        codes = program.add(
            "quantize",
            [value],
            ints={"bits": 4, "unsigned": 0},
            floats={"scale": 0.1, "factor": 1.0},
            tensors={"shift": floats(55, 12)},
        )
        value = program.add(
            f"{kind}_attention_i8",
            [codes, one_bit, codes, codes, codes, one_bit],
            ints=heads | more | bits,
            floats=of_parts,
        )
    return [value]


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


def head(program):
    first = front_end(program, 12)
    states = [first, program.add("gelu", [first])]
    means = [program.add("mean_frames", [state]) for state in states]
    mixed = program.add("weighted_sum", means, tensors={"weight": floats(51, 2)})
    both = program.add("weighted_sum", states, tensors={"weight": floats(52, 2)})
    tensors = {"weight": floats(53, 3, 12), "bias": floats(54, 3)}
    scores = program.add("conv_f32", [mixed], ints=PLAIN, tensors=tensors)
    program.head = {"task": "ks", "value": scores, "labels": ["yes", "nö", "_silence_"]}
    return [first, both]


PROGRAMS = (
    norms,
    products,
    one_output_a_group,
    binary_attention,
    float_attention,
    first_layer,
    convolution_module,
    relative_attention,
    pattern_attention,
    pattern_attention_on_codes,
    codes,
    head,
)


def write_programs(folder):
    """Writes all of them to a folder; returns the names of their ops."""
    ops = set()
    for make in PROGRAMS:
        program = Program()
        program.outputs = make(program)
        name = make.__name__
        write_program(program, Path(folder) / f"{name}.safetensors", {"name": name})
        ops |= {op["op"] for op in program.ops}
    return ops


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    write_programs(sys.argv[1])
