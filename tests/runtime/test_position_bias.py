"""Attention with a gated position bias, judged by numpy."""

import numpy as np
import pytest
from packed_reference import float_rows, unpacked, values, waveform_of
from test_code_ops import whole_codes
from test_relative_attention import columns, heads_of, softmax
from test_relative_attention_i8 import coded

from earbit import _core

SHAPES = [(1, 1, 1), (2, 2, 3), (47, 1, 5), (49, 3, 36), (131, 2, 16)]
"""Rows, heads, columns of a head."""


def bias_values(program, x, n, n_heads):
    """A gate and a bias by distance as inputs of an op, appended to rows of x, and by numpy."""
    random = np.random.default_rng(n)
    gate = random.standard_normal((2 * n - 1, n_heads)).astype(np.float32)
    bias = random.standard_normal((2 * n - 1, n_heads)).astype(np.float32)
    wave = np.concatenate([x, gate, bias], axis=1).astype(np.float32)
    i, j = np.indices((n, n))
    added = gate[:n].T[:, :, None].astype(float) * bias.T[:, n - 1 + j - i]
    return wave, added


def inputs_of(program, n, n_in, widths):
    """Values of n rows for the first three and the gate, of 2 n - 1 for the bias, of one matrix."""
    rows = float_rows(program, n_in)
    starts = np.cumsum([0, *widths])[:-1]
    kernels = [n, n, n, n, 1]
    return [
        columns(program, rows, n_in, int(first), width, kernel)
        for first, width, kernel in zip(starts, widths, kernels, strict=True)
    ]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_float_scores_have_the_gated_bias(shape):
    n, n_heads, d = shape
    width = n_heads * d
    x = np.random.default_rng(1).standard_normal((2 * n - 1, 3 * width)).astype(np.float32)
    program = _core.Program()
    wave, added = bias_values(program, x, n, n_heads)
    operands = inputs_of(program, n, wave.shape[1], [width] * 3 + [n_heads] * 2)
    ints, floats = {"heads": n_heads, "radius": -1}, {"score_scale": 1.5 * d**-0.5}
    y = program.add("attention_f32", operands, ints, floats, {})
    results = [program.run(wave.ravel(), [y], threads)[0] for threads in (1, 3)]
    q, k, v = (
        heads_of(x[:n, i * width : (i + 1) * width].astype(float), n_heads) for i in range(3)
    )
    probabilities = softmax(q @ k.transpose(0, 2, 1) * floats["score_scale"] + added)
    expected = (probabilities @ v).transpose(1, 0, 2).reshape(n, -1)
    assert np.abs(results[0] - expected).max() <= 2e-5
    assert np.array_equal(results[0], results[1]), "threads changed a bit"


@pytest.mark.parametrize("has_threshold", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_binary_scores_have_the_gated_bias(shape, has_threshold):
    n, n_heads, d = shape
    width = n_heads * d
    random = np.random.default_rng(6)
    bits = random.random((2 * n - 1, 3, width)) < 0.5
    program = _core.Program()
    signs = waveform_of(bits.reshape(2 * n - 1, -1)).reshape(2 * n - 1, -1)
    wave, added = bias_values(program, signs, n, n_heads)
    operands = inputs_of(program, n, wave.shape[1], [width] * 3 + [n_heads] * 2)
    zeros = {"threshold": np.zeros(width, np.float32)}
    packed = [program.add("pack", [x], {"groups": n_heads}, {}, zeros) for x in operands[:3]]
    floats = {"score_scale": 0.0713, "prob_half": 1.037 / n * (0.7 if n == 1 else 1)}
    threshold = random.integers(-3, 4, width).astype(np.int32)
    tensors = {"threshold": threshold} if has_threshold else {}
    more = {} if has_threshold else {"scale": 0.37}
    ints = {"head_dim": d, "radius": -1}
    y = program.add("attention_b1", [*packed, *operands[3:]], ints, floats | more, tensors)
    results = [program.run(wave.ravel(), [y], threads)[0] for threads in (1, 3)]
    assert np.array_equal(results[0], results[1]), "threads changed a bit"
    q, k, v = (heads_of(values(bits[:n, i], False), n_heads) for i in range(3))
    probabilities = softmax(np.float32(0.0713).astype(float) * (q @ k.transpose(0, 2, 1)) + added)
    half = float(np.float32(floats["prob_half"]))
    # A row in which a probability lies on the border may have either bit.
    is_sure = (np.abs(probabilities / half - 1) > 1e-5).all((0, 2))
    assert is_sure.mean() > 0.8
    context = ((probabilities > half).astype(int) @ v).transpose(1, 0, 2).reshape(n, -1)
    if has_threshold:
        found, expected = unpacked(results[0][0], width), context >= threshold
    else:
        found, expected = results[0], np.float32(0.37) * context.astype(np.float32)
    assert np.array_equal(found[is_sure], expected[is_sure])


@pytest.mark.parametrize("bits", [8, 4, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scores_of_codes_have_the_gated_bias(shape, bits):
    n, n_heads, d = shape
    width = n_heads * d
    x = whole_codes(np.random.default_rng(2), bits, "signed", (2 * n - 1, 3 * width))
    program = _core.Program()
    wave, added = bias_values(program, x, n, n_heads)
    operands = inputs_of(program, n, wave.shape[1], [width] * 3 + [n_heads] * 2)
    codes = [coded(program, value, width, bits, n_heads) for value in operands[:3]]
    scales = {"q_scale": 0.05 / 2**bits, "k_scale": 0.3, "prob_scale": 1 / (3 * n + 4)}
    scales["v_scale"] = 0.37
    ints = {"heads": n_heads, "radius": -1, "prob_bits": 4}
    y = program.add("attention_i8", [*codes, *operands[3:]], ints, scales, {})
    results = [program.run(wave.ravel(), [y], threads)[0] for threads in (1, 3)]
    assert np.array_equal(results[0], results[1]), "threads changed a bit"
    q, k, v = (
        heads_of(x[:n, i * width : (i + 1) * width].astype(float), n_heads) for i in range(3)
    )
    scale = {name: np.float32(value) for name, value in scales.items()}
    scores = (q @ k.transpose(0, 2, 1)).astype(np.float32) * (scale["q_scale"] * scale["k_scale"])
    steps = softmax(scores + added) / float(scale["prob_scale"])
    rounded = np.minimum(np.rint(steps), 15).astype(int)
    context = (rounded @ v).transpose(1, 0, 2).reshape(n, -1).astype(np.float32)
    expected = context * scale["prob_scale"] * scale["v_scale"]
    # A row in which a probability lies on the border of two codes may have either of them.
    near = np.abs(steps - np.floor(steps) - 0.5) < 1e-5 * (1 + steps)
    is_sure = ~near.any(-1).T.repeat(d, axis=1)
    assert is_sure.mean() > 0.8
    assert np.array_equal(results[0][is_sure], expected[is_sure])


@pytest.mark.parametrize("n", [1, 2, 9])
def test_a_distance_table_repeats_its_ends(n):
    table = np.random.default_rng(0).standard_normal((7, 2)).astype(np.float32)
    program = _core.Program()
    ints = {"columns": 2, "radius": 3}
    y = program.add("distance_table", [0], ints, {}, {"table": table})
    (result,) = program.run(np.zeros(n, np.float32), [y], 1)
    assert np.array_equal(result, table[np.clip(np.arange(1 - n, n), -3, 3) + 3])


def test_a_position_gate_is_that_of_wavlm():
    x = 4 * np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
    constant = np.array([0.5, -2, 3], np.float32)
    program = _core.Program()
    y = program.add("position_gate", [float_rows(program, 6)], {}, {}, {"constant": constant})
    (result,) = program.run(x.ravel(), [y], 2)
    sigmoid = 1 / (1 + np.exp(-x.astype(float)))
    assert np.abs(result - (sigmoid[:, ::2] * (sigmoid[:, 1::2] * constant - 1) + 2)).max() < 1e-5


def with_bias(gate_columns=2, bias=None, radius=-1, n_inputs=5):
    """attention_f32 of two heads on 4 columns."""
    program = _core.Program()
    rows = float_rows(program, 4)
    gate = columns(program, rows, 4, 0, gate_columns)
    table = {"table": np.zeros((3, 2), np.float32)}
    distances = program.add("distance_table", [rows], {"columns": 2, "radius": 1}, {}, table)
    inputs = [rows, rows, rows, gate, gate if bias == "short" else distances][:n_inputs]
    ints, floats = {"heads": 2, "radius": radius}, {"score_scale": 1.0}
    y = program.add("attention_f32", inputs, ints, floats, {})
    return program.run(np.zeros(20, np.float32), [y], 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"gate_columns": 1}, "a column for each of 2 heads"),
        ({"radius": 3}, "radius=-1"),
        ({"n_inputs": 4}, "4 inputs, expected 3"),
        ({"bias": "short"}, "2 n - 1"),
    ],
)
def test_a_bias_that_does_not_fit_is_refused(changed, message):
    assert np.isfinite(with_bias()[0]).all()
    with pytest.raises(ValueError, match=message):
        with_bias(**changed)


def test_an_odd_number_of_columns_has_no_gates():
    program = _core.Program()
    with pytest.raises(ValueError, match="position_gate of 3 columns"):
        program.add(
            "position_gate", [float_rows(program, 3)], {}, {}, {"constant": np.ones(1, np.float32)}
        )
