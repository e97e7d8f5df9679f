"""The ops of a Conformer layer in a row: neither instruction set nor threads change a bit."""

import hashlib
import sys

import numpy as np
import pytest
from packed_reference import float_rows
from test_kernels import ISAS, in_a_new_process

from earbit import _core


def layer():
    """Gates, a binary depthwise convolution, all kinds of binary attention; program and values."""
    random = np.random.default_rng(3)
    program = _core.Program()
    gated = program.add("glu", [float_rows(program, 144)], {}, {}, {})
    smooth = program.add("silu", [gated], {}, {}, {})
    zeros = {"threshold": np.zeros(72, np.float32)}
    bits = program.add("pack", [smooth], {"groups": 1}, {}, zeros)
    ints = {"kernel": 31, "stride": 1, "pad_left": 15, "pad_right": 15, "unsigned": 1}
    weight = random.integers(0, 2**31, (72, 1), dtype=np.uint64)
    tensors = {"weight": weight, "scale": np.ones(72, np.float32), "bias": np.zeros(72, np.float32)}
    mixed = program.add("depthwise_b1", [bits], ints, {}, tensors)
    heads = program.add("pack", [mixed], {"groups": 2}, {}, zeros)
    frequency = {"frequency": np.exp(-np.arange(36) / 4).astype(np.float32)}
    table = program.add("sinusoids", [mixed], {"columns": 72}, {}, frequency)
    distances = program.add("pack", [table], {"groups": 2}, {}, zeros)
    floats = {"content_scale": 0.06, "position_scale": 0.04, "prob_half": 0.006, "scale": 0.5}
    operands = [heads, heads, heads, distances, heads]
    attended = program.add("relative_attention_b1", operands, {"head_dim": 36}, floats, {})
    near = {"head_dim": 36, "radius": 16}
    numbers = {"score_scale": 0.06, "prob_half": 0.02, "scale": 0.5}
    local = program.add("attention_b1", [heads] * 3, near, numbers, {})
    return program, [gated, smooth, bits, mixed, attended, local]


def layer_digest(threads=2):
    program, values = layer()
    x = np.random.default_rng(9).standard_normal(150 * 144).astype(np.float32)
    results = program.run(x, values, threads)
    return hashlib.sha256(b"".join(r.tobytes() for r in results)).hexdigest()


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set_gives_the_same_bytes(isa):
    code = "import sys\nsys.path[:0] = " + repr([p for p in sys.path if p]) + "\n"
    code += "from test_encoder_layer import layer_digest\nprint(layer_digest())"
    done = in_a_new_process(code, isa)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == layer_digest()


@pytest.mark.parametrize("threads", [1, 3, 16])
def test_the_number_of_threads_changes_no_bit(threads):
    assert layer_digest(threads) == layer_digest(2)
