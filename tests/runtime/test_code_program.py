"""A program of ops on codes as a whole: the same bytes everywhere, and what is refused."""

import sys

import numpy as np
import pytest
from packed_reference import PLAIN, bit_rows, codes_of_bits, float_rows, quantized_rows
from test_gemm_i8 import ISAS
from test_kernels import in_a_new_process
from test_program import digest, ones, waveform

from earbit import _core


def encoder():
    """Audio to codes, convolutions in both ways, attention and GELU; returns program and values."""
    random = np.random.default_rng(3)

    def weights(n_out, n_bytes, kind=np.uint8):
        scale = random.random(n_out).astype(np.float32) / 64
        weight = random.integers(0, np.iinfo(kind).max, (n_out, n_bytes), dtype=kind)
        return {"weight": weight, "scale": scale, "bias": scale - np.float32(0.005)}

    def quantized(value, bits, n_cols, is_unsigned=0, scale=0.05):
        ints = {"bits": bits, "unsigned": is_unsigned}
        floats, tensors = {"scale": scale, "factor": 0.7}, {"shift": ones(n_cols) / 9}
        return program.add("quantize", [value], ints, floats, tensors)

    program = _core.Program()
    codes = quantized(0, 8, 1)
    ints = {**PLAIN, "kernel": 10, "stride": 5, "weight_bits": 8}
    value = program.add("conv_i8", [codes], ints, {}, weights(128, 10))
    codes = quantized(value, 4, 128, is_unsigned=1)
    ints = {**PLAIN, "kernel": 3, "stride": 2}
    value = program.add("conv_planes", [codes], ints, {}, weights(128, 6, np.uint64))
    made = [codes, value]
    operands = []
    for bits in (8, 4, 2):
        codes = quantized(value, bits, 128)
        ints = {**PLAIN, "kernel": 3, "pad_left": 1, "pad_right": 1, "groups": 4}
        tensors = weights(128, 96 * bits // 8)
        q = program.add("conv_i8", [codes], ints | {"weight_bits": bits}, {}, tensors)
        operands.append(quantized(q, bits, 128, scale=0.3))
    floats = {"q_scale": 0.02, "k_scale": 0.02, "prob_scale": 0.002, "v_scale": 0.1}
    ints = {"heads": 2, "radius": 50, "prob_bits": 8}
    attended = program.add("attention_i8", operands, ints, floats, {})
    frequency = {"frequency": (1 / np.arange(1, 65)).astype(np.float32)}
    distances = program.add("sinusoids", [value], {"columns": 128}, {}, frequency)
    q, k, v = operands
    floats |= {"p_scale": 0.03, "r_scale": 0.02}
    ints = {"heads": 4, "prob_bits": 4}
    queries = [q, quantized(attended, 4, 128), k, quantized(distances, 8, 128), v]
    attended = program.add("relative_attention_i8", queries, ints, floats, {})
    codes = quantized(attended, 8, 128, scale=0.01)
    ints = {"kernel": 7, "stride": 1, "pad_left": 3, "pad_right": 3, "weight_bits": 8}
    local = program.add("depthwise_i8", [codes], ints, {}, weights(128, 7))
    return program, [*made, *operands, attended, local, program.add("gelu", [local], {}, {}, {})]


def encoder_digest():
    program, values = encoder()
    return digest(program.run(waveform(), values, 2))


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set_gives_the_same_bytes(isa):
    code = "import sys\nsys.path[:0] = " + repr([p for p in sys.path if p]) + "\n"
    code += "from test_code_program import encoder_digest\nprint(encoder_digest())"
    done = in_a_new_process(code, isa)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == encoder_digest()


def test_the_program_of_these_tests_uses_its_codes():
    program, values = encoder()
    arrays = program.run(waveform(), values, 1)
    assert [a.dtype.name for a in arrays] == ["uint8", "float32", *["uint8"] * 3, *["float32"] * 3]
    assert all(len(np.unique(a)) > 2 for a in arrays)


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_the_number_of_threads_changes_no_bit(threads):
    program, values = encoder()
    alone = program.run(waveform(), values, 1)
    assert digest(program.run(waveform(), values, threads)) == digest(alone)


SHIFT = {"shift": ones(3)}
QUANTIZE = {"bits": 4, "unsigned": 0}
STEP = {"scale": 0.1, "factor": 1.0}
I8 = {**PLAIN, "weight_bits": 8}
BYTES = {"weight": ones(8, 3, dtype=np.uint8), "scale": ones(8), "bias": ones(8)}
WORDS = {"weight": ones(8, 1, dtype=np.uint64), "scale": ones(8), "bias": ones(8)}
TAPS = {"kernel": 3, "stride": 1, "pad_left": 0, "pad_right": 0, "weight_bits": 4}
EACH = {"weight": ones(3, 2, dtype=np.uint8), "scale": ones(3), "bias": ones(3)}
F, B, C, ONE = "floats", "bits", "codes", "codes of one bit"
REFUSED = [
    # op, inputs, ints, floats, tensors, what the message must name
    ("relu", [C], {}, {}, {}, "codes, expected floats"),
    ("gemm_b1", [C], {}, {}, {}, "codes, expected bits"),
    ("quantize", [B], QUANTIZE, STEP, SHIFT, "bits, expected floats"),
    ("quantize", [F], {**QUANTIZE, "bits": 1}, STEP, SHIFT, "bits=1; allowed are 2 to 8"),
    ("quantize", [F], {**QUANTIZE, "bits": 9}, STEP, SHIFT, "bits=9"),
    ("quantize", [F], QUANTIZE, {**STEP, "scale": 0.0}, SHIFT, "scale must be above 0"),
    ("quantize", [F], QUANTIZE, {"scale": 1.0}, SHIFT, "factor"),
    ("quantize", [F], QUANTIZE, STEP, {"shift": ones(4)}, r"shift.*\(4\)"),
    ("unpack", [F], {"unsigned": 0}, {}, {}, "floats, expected bits"),
    ("gemm_i8", [F], I8, {}, BYTES, "floats, expected codes"),
    ("gemm_i8", [C], {**I8, "weight_bits": 3}, {}, BYTES, "weight_bits=3; allowed are 1, 2, 4"),
    ("gemm_i8", [C], {**I8, "weight_bits": 4}, {}, BYTES, r"expected uint8 \(8, 2\)"),
    ("gemm_i8", [C], {**I8, "groups": 2}, {}, BYTES, "groups=2 must divide 3"),
    ("gemm_i8", [C], I8, {}, BYTES | {"weight": ones(8, 3)}, "float32.*uint8"),
    ("gemm_i8", [C], I8, {}, BYTES | {"scale": ones(7)}, "scale"),
    ("conv_i8", [C], {**I8, "kernel": 2, "pad_left": 2}, {}, BYTES, "pad_left=2"),
    ("depthwise_i8", [F], TAPS, {}, EACH, "floats, expected codes"),
    ("depthwise_i8", [B], TAPS, {}, EACH, "bits, expected codes"),
    ("depthwise_i8", [C], {**TAPS, "weight_bits": 16}, {}, EACH, "weight_bits=16"),
    ("depthwise_i8", [C], {**TAPS, "weight_bits": 8}, {}, EACH, r"expected uint8 \(3, 3\)"),
    ("depthwise_i8", [C], {**TAPS, "pad_right": 3}, {}, EACH, "pad_right=3; allowed are 0 to 2"),
    ("depthwise_i8", [C], {**TAPS, "groups": 3}, {}, EACH, "groups"),
    ("depthwise_i8", [C], TAPS, {}, EACH | {"threshold": ones(3, dtype=np.int32)}, "threshold"),
    ("depthwise_i8", [C], TAPS, {}, EACH | {"bias": ones(2)}, "bias"),
    ("conv_planes", [ONE], PLAIN, {}, WORDS, "inputs of 1 bit"),
    ("conv_planes", [C], {**PLAIN, "groups": 2}, {}, WORDS, "groups=2 must divide 3"),
    ("gemm_planes", [C], PLAIN, {}, WORDS | {"weight": WORDS["weight"] * np.uint64(8)}, "beyond"),
    ("gemm_planes", [C], PLAIN, {}, {"weight": WORDS["weight"]}, "scale"),
]


@pytest.mark.parametrize(("op", "inputs", "ints", "floats", "tensors", "named"), REFUSED)
def test_what_does_not_fit_is_refused_by_name(op, inputs, ints, floats, tensors, named):
    program = _core.Program()
    values = {
        F: float_rows(program, 3),
        B: bit_rows(program, 3),
        C: quantized_rows(program, 3, 4, "signed"),
        ONE: codes_of_bits(program, 3),
    }
    with pytest.raises(ValueError, match=named):
        program.add(op, [values[i] for i in inputs], ints, floats, tensors)
