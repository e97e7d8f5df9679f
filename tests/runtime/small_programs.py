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


PROGRAMS = (norms, products, one_output_a_group, binary_attention, float_attention)


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
