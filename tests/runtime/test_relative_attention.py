"""Attention with relative positions, judged by numpy, one pair of frames at a time."""

import numpy as np
import pytest
from packed_reference import PLAIN, float_rows, packed, unpacked, values, waveform_of

from earbit import _core

SHAPES = [
    # rows, heads, d
    (1, 1, 1),
    (2, 2, 3),
    (47, 1, 5),
    (49, 3, 36),
    (64, 1, 65),
    (131, 2, 16),
    (200, 1, 24),
]


def softmax(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def by_distance(products):
    """(heads, n, 2 n - 1) by row of r -> (heads, n, n): row n - 1 - (i - j) for keys j."""
    n = products.shape[1]
    i, j = np.indices((n, n))
    return products[:, i, n - 1 - (i - j)]


def heads_of(x, n_heads):
    return x.reshape(len(x), n_heads, -1).transpose(1, 0, 2)


def columns(program, value, n_in, first, width, kernel=1, drop=0):
    """`width` columns of a value from column `first` on, without its first `drop` rows."""
    weight = np.zeros((width, kernel, n_in), np.float32)
    weight[np.arange(width), drop, first + np.arange(width)] = 1
    ints = {**PLAIN, "kernel": kernel}
    return program.add("conv_f32", [value], ints, {}, {"weight": weight.reshape(width, -1)})


def operands_from(program, n, width, n_frame_operands):
    """Values of n rows, and one of 2 n - 1, cut out of one matrix of 2 n - 1 rows."""
    n_in = (n_frame_operands + 1) * width
    rows = float_rows(program, n_in)
    # A window over n rows has n places in 2 n - 1 rows.
    short = [columns(program, rows, n_in, i * width, width, n) for i in range(n_frame_operands)]
    return [*short, columns(program, rows, n_in, n_frame_operands * width, width)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_float_scores_see_content_and_distance(shape):
    n, n_heads, d = shape
    width = n_heads * d
    random = np.random.default_rng(1)
    u, v_bias = (random.standard_normal(width).astype(np.float32) for _ in range(2))
    x = random.standard_normal((2 * n - 1, 4 * width)).astype(np.float32)
    program = _core.Program()
    q, k, v, r = operands_from(program, n, width, 3)
    tensors = {"content_bias": u, "position_bias": v_bias}
    ints, floats = {"heads": n_heads}, {"score_scale": 1.5 * d**-0.5}
    y = program.add("relative_attention_f32", [q, k, v, r], ints, floats, tensors)
    results = [program.run(x.ravel(), [y], threads)[0] for threads in (1, 3)]
    qs, ks, vs, rs = (x[:, i * width : (i + 1) * width].astype(float) for i in range(4))
    qs, ks, vs = qs[:n], ks[:n], vs[:n]
    content = heads_of(qs + u, n_heads) @ heads_of(ks, n_heads).transpose(0, 2, 1)
    position = heads_of(qs + v_bias, n_heads) @ heads_of(rs, n_heads).transpose(0, 2, 1)
    probabilities = softmax((content + by_distance(position)) * floats["score_scale"])
    expected = (probabilities @ heads_of(vs, n_heads)).transpose(1, 0, 2).reshape(n, -1)
    assert np.abs(results[0] - expected).max() <= 2e-5
    assert np.array_equal(results[0], results[1]), "threads changed a bit"


def binary(shape, floats, ints, tensors, threads=2):
    """The op's result on random bits, the context by numpy, and how near a tie any p comes."""
    n, n_heads, d = shape
    width = n_heads * d
    bits = np.random.default_rng(6).random((2 * n - 1, 5, width)) < 0.5
    program = _core.Program()
    floating = operands_from(program, n, width, 4)
    zeros = {"threshold": np.zeros(width, np.float32)}
    q, p, k, v, r = (program.add("pack", [f], {"groups": n_heads}, {}, zeros) for f in floating)
    y = program.add("relative_attention_b1", [q, p, k, r, v], ints, floats, tensors)
    (result,) = program.run(waveform_of(bits.reshape(2 * n - 1, -1)), [y], threads)
    qs, ps, ks, vs, rs = (heads_of(values(bits[:, i], False), n_heads) for i in range(5))
    qs, ps, ks, vs = qs[:, :n], ps[:, :n], ks[:, :n], vs[:, :n]
    scores = np.float32(floats["content_scale"]).astype(float) * (qs @ ks.transpose(0, 2, 1))
    scores = scores + np.float32(floats["position_scale"]).astype(float) * by_distance(
        ps @ rs.transpose(0, 2, 1)
    )
    probabilities, half = softmax(scores), float(np.float32(floats["prob_half"]))
    context = (probabilities > half).astype(int) @ vs
    return result, context.transpose(1, 0, 2).reshape(n, -1), np.abs(probabilities / half - 1).min()


FLOATS = {"content_scale": 0.0713, "position_scale": 0.0417}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_binary_scores_see_content_and_distance(shape):
    n, n_heads, d = shape
    floats = {**FLOATS, "prob_half": 1.037 / n * (0.7 if n == 1 else 1), "scale": 0.37}
    result, context, nearest = binary(shape, floats, {"head_dim": d}, {})
    assert nearest > 1e-5, "a tie would make this test depend on rounding"
    assert n == 1 or len(np.unique(context)) > 1
    assert np.array_equal(result, np.float32(0.37) * context.astype(np.float32))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_binary_relative_attention_writes_the_bits_of_its_thresholds(shape):
    n, n_heads, d = shape
    threshold = np.random.default_rng(8).integers(-3, 4, n_heads * d).astype(np.int32)
    floats = {**FLOATS, "prob_half": 1.037 / n * (0.7 if n == 1 else 1)}
    result, context, _ = binary(shape, floats, {"head_dim": d}, {"threshold": threshold})
    assert result.shape[0] == 1
    assert np.array_equal(unpacked(result[0], n_heads * d), context >= threshold)
    assert np.array_equal(packed(unpacked(result, n_heads * d)), result), "zeros beyond the row"


def test_large_scales_leave_one_key_to_a_query():
    # Far beyond what exp of a float32 holds, but for the largest score of each row.
    shape, floats = (40, 1, 33), {"content_scale": 31.7, "position_scale": 57.3}
    floats |= {"prob_half": 0.3, "scale": 1.0}
    result, context, _ = binary(shape, floats, {"head_dim": 33}, {})
    assert np.array_equal(result, context.astype(np.float32))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"head_dim": 5}, "head_dim=5"),
        ({"content_scale": 0.0}, "above 0"),
        ({"position_scale": -1.0}, "above 0"),
        ({"prob_half": 0.0}, "prob_half must be at least 1e-6"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(changed, message):
    ints = {"head_dim": changed.get("head_dim", 4)}
    floats = {**FLOATS, "prob_half": 0.1, "scale": 1.0}
    floats |= {name: value for name, value in changed.items() if name in floats}
    with pytest.raises(ValueError, match=message):
        binary((3, 2, 4), floats, ints, {})


@pytest.mark.parametrize("op", ["relative_attention_b1", "relative_attention_f32"])
def test_distances_of_another_length_are_refused(op):
    program = _core.Program()
    rows = float_rows(program, 2)
    if op == "relative_attention_b1":
        zeros = {"threshold": np.zeros(2, np.float32)}
        rows = program.add("pack", [rows], {"groups": 1}, {}, zeros)
        floats = {**FLOATS, "prob_half": 0.1, "scale": 1.0}
        y = program.add(op, [rows] * 5, {"head_dim": 2}, floats, {})
    else:
        zeros = {n: np.zeros(2, np.float32) for n in ("content_bias", "position_bias")}
        y = program.add(op, [rows] * 4, {"heads": 1}, {"score_scale": 1.0}, zeros)
    with pytest.raises(ValueError, match="rows, expected"):
        program.run(np.zeros(6, np.float32), [y], 1)
