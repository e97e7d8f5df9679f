"""Writes small valid programs that have every op between them: what the fuzzer starts from.

python tests/runtime/small_programs.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from program_parts import PLAIN, floats, front_end, limits, packed, words
from programs_of_codes import codes
from programs_with_heads import write_heads

from earbit.export.program import WAVEFORM, Program, write_program


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
    for window in ({"radius": -1}, {"radius": 9}, {"left": 7, "right": 2}):
        ints = {"heads": 3, **window}
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


def filterbank(program):
    ints = {"window": 40, "hop": 16, "pad": 8, "stack": 2, "fft": 64}
    first = np.array([0, 3, 9, 20, 24], np.int32)
    tensors = {"taper": floats(35, 40), "first": first, "weight": abs(floats(36, 5, 9))}
    return [program.add("log_mel", [WAVEFORM], ints=ints, floats={"floor": 1e-6}, tensors=tensors)]


def convolution_module(program):
    gated = program.add("glu", [front_end(program, 24)])
    shape = {"kernel": 5, "stride": 1, "pad_left": 2, "pad_right": 2}
    bits = packed(program, gated, 12)
    tensors = {"weight": words(23, 12, 1, 5), "threshold": limits(24, 12)}
    transposed = program.add("depthwise_b1", [bits], ints=shape | {"unsigned": 0}, tensors=tensors)
    program.bits["depthwise"] = transposed
    tensors = {"weight": words(25, 12, 1, 5), "scale": floats(26, 12), "bias": floats(27, 12)}
    again = program.add("depthwise_b1", [transposed], ints=shape | {"unsigned": 1}, tensors=tensors)
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


def position_bias(program):
    value = front_end(program, 12)
    gates = program.add(
        "position_gate", [front_end(program, 4)], tensors={"constant": floats(33, 2)}
    )
    table = {"table": floats(34, 7, 2)}
    ints = {"columns": 2, "radius": 3}
    added = [gates, program.add("distance_table", [value], ints=ints, tensors=table)]
    ints = {"heads": 2, "radius": -1}
    score = {"score_scale": 0.5}
    seen = program.add("attention_f32", [value] * 3 + added, ints=ints, floats=score)
    q = packed(program, seen, 12, groups=2)
    numbers = score | {"prob_half": 0.02, "scale": 0.5}
    ints = {"head_dim": 6, "radius": -1}
    return [program.add("attention_b1", [q] * 3 + added, ints=ints, floats=numbers)]


def head(program):
    first = front_end(program, 12)
    states = [first, program.add("gelu", [first])]
    means = [program.add("mean_frames", [state]) for state in states]
    mixed = program.add("weighted_sum", means, tensors={"weight": floats(51, 2)})
    both = program.add("weighted_sum", states, tensors={"weight": floats(52, 2)})
    tensors = {"weight": floats(53, 3, 12), "bias": floats(54, 3)}
    scores = program.add("conv_f32", [mixed], ints=PLAIN, tensors=tensors)
    gated = program.add("lstm", [first], ints={"reverse": 1}, tensors={"weight": floats(55, 12, 3)})
    program.add("deviation_frames", [gated], floats={"eps": 1e-5})
    program.head = {"task": "ks", "value": scores, "labels": ["yes", "nö", "_silence_"]}
    return [first, both]


PROGRAMS = (
    norms,
    products,
    one_output_a_group,
    binary_attention,
    float_attention,
    first_layer,
    filterbank,
    convolution_module,
    relative_attention,
    position_bias,
    codes,
    head,
)


def small_programs():
    """All of them, by name."""
    for make in PROGRAMS:
        program = Program()
        program.outputs = make(program)
        yield make.__name__, program


def write_programs(folder):
    """Writes all of them to a folder; returns the names of their ops."""
    ops = set()
    for name, program in small_programs():
        write_program(program, Path(folder) / f"{name}.safetensors", {"name": name})
        ops |= {op["op"] for op in program.ops}
    return ops


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    write_programs(sys.argv[1])
    write_heads(Path(sys.argv[1]))
