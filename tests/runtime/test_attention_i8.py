"""Attention on codes: integers and the softmax by numpy, in double precision."""

import numpy as np
import pytest
from packed_reference import PLAIN, codes_of_bits, float_rows
from test_code_ops import whole_codes

from earbit import _core

CASES = [
    # rows, heads, d, radius, bits of q, k, p, v, a step of q . k, a step of p
    (1, 1, 1, -1, (8, 8, 8, 8), 0.01, 1 / 255),
    (5, 1, 3, -1, (2, 2, 2, 2), 0.2, 0.17),
    (64, 2, 64, -1, (8, 8, 8, 8), 1e-5, 1 / 2000),
    (131, 3, 24, -1, (4, 4, 4, 4), 0.004, 1 / 400),
    (67, 2, 65, -1, (4, 2, 8, 4), 0.01, 1 / 3000),
    (70, 2, 36, 0, (8, 8, 8, 8), 1e-5, 1 / 255),
    (70, 2, 36, 1, (4, 4, 4, 4), 0.005, 0.07),
    (150, 4, 36, 16, (8, 4, 4, 8), 1e-3, 1 / 90),
    (333, 1, 20, 40, (8, 8, 8, 2), 1e-5, 1 / 3000),
    (90, 2, 13, 400, (2, 2, 4, 2), 0.05, 1 / 200),
    (40, 2, 18, -1, (1, 1, 4, 2), 0.1, 1 / 60),
    (40, 2, 18, 3, (2, 1, 1, 1), 0.1, 0.3),
]


def operand(program, rows, width, i, bits, heads):
    """Columns [i * width, ...) of float rows as signed codes of these bits."""
    weight = np.zeros((width, 3 * width), np.float32)
    weight[np.arange(width), i * width + np.arange(width)] = 1
    part = program.add("conv_f32", [rows], PLAIN, {}, {"weight": weight})
    zeros = np.zeros(width, np.float32)
    if bits == 1:
        packed = program.add("pack", [part], {"groups": heads}, {}, {"threshold": zeros})
        return program.add("unpack", [packed], {"unsigned": 0}, {}, {})
    ints, floats = {"bits": bits, "unsigned": 0}, {"scale": 1.0, "factor": 1.0}
    return program.add("quantize", [part], ints, floats, {"shift": zeros})


def attention(case, threads=2):
    """Results of the op, and the operands (3, heads, rows, d)."""
    n_rows, heads, d, radius, bits, score, step = case
    random = np.random.default_rng(n_rows + d)
    width = heads * d
    q, k, v = (
        whole_codes(random, b, "signed", (n_rows, width)) for b in (bits[0], bits[1], bits[3])
    )
    program = _core.Program()
    rows = float_rows(program, 3 * width)
    picked = [
        operand(program, rows, width, i, b, heads)
        for i, b in enumerate((bits[0], bits[1], bits[3]))
    ]
    floats = {"q_scale": score / 0.3, "k_scale": 0.3, "prob_scale": step, "v_scale": 0.37}
    ints = {"heads": heads, "radius": radius, "prob_bits": bits[2]}
    value = program.add("attention_i8", picked, ints, floats, {})
    wave = np.concatenate([q, k, v], axis=1).astype(np.float32)
    (y,) = program.run(wave.ravel(), [value], threads)
    return y, np.stack([o.reshape(n_rows, heads, d).swapaxes(0, 1) for o in (q, k, v)])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_attention_on_codes_equals_a_softmax_of_numpy(case):
    n_rows, heads, d, radius, bits, score, step = case
    y, (q, k, v) = attention(case)
    scores = score * np.einsum("hic,hjc->hij", q, k)
    distance = np.abs(np.subtract.outer(np.arange(n_rows), np.arange(n_rows)))
    if radius >= 0:
        scores[:, distance > radius] = -np.inf
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    steps = p / float(np.float32(step))
    codes = np.minimum(np.rint(steps), 2 ** bits[2] - 1)
    context = np.einsum("hij,hjc->hic", codes, v).swapaxes(0, 1).reshape(n_rows, -1)
    expected = context.astype(np.float32) * np.float32(step) * np.float32(0.37)
    # A row in which a probability lies on the border of two codes may have either of them.
    near = np.abs(steps - np.floor(steps) - 0.5) < 1e-5 * (1 + steps)
    is_sure = ~near.any(-1).T.repeat(d, axis=1)
    assert is_sure.mean() > 0.8
    assert np.array_equal(y[is_sure], expected[is_sure])
    if n_rows > 5:
        assert len(np.unique(codes)) > 1


def test_no_number_of_threads_changes_a_bit():
    one = attention(CASES[3], threads=1)[0]
    assert all(np.array_equal(attention(CASES[3], threads=n)[0], one) for n in (2, 3, 16))


def test_two_frames_by_hand():
    # q . k = [[1, -1], [-2, 2]], p = softmax: 0.8808 and 0.1192, 0.0180 and 0.9820,
    # in steps of 1/4: 4 (3 at most in 2 bits) and 0, 0 and 3; v = 1, -2.
    program = _core.Program()
    rows = float_rows(program, 3)
    picked = [operand(program, rows, 1, i, 2, 1) for i in range(3)]
    floats = {"q_scale": 1.0, "k_scale": 1.0, "prob_scale": 0.25, "v_scale": 2.0}
    ints = {"heads": 1, "radius": -1, "prob_bits": 2}
    value = program.add("attention_i8", picked, ints, floats, {})
    wave = np.array([1, 1, 1, -2, -1, -2], np.float32)
    assert program.run(wave, [value], 1)[0].tolist() == [[1.5], [-3.0]]


def test_unsigned_codes_and_scales_that_could_overflow_are_refused():
    program = _core.Program()
    signed = codes_of_bits(program, 4)
    unsigned = codes_of_bits(program, 4, is_unsigned=1)
    ints = {"heads": 2, "radius": -1, "prob_bits": 4}
    floats = {"q_scale": 1.0, "k_scale": 1.0, "prob_scale": 0.25, "v_scale": 2.0}
    for inputs, changed_ints, changed, named in (
        ([signed, signed, unsigned], {}, {}, "signed"),
        ([signed, signed, 0], {}, {}, "floats, expected codes"),
        ([signed] * 3, {"heads": 3}, {}, "heads=3"),
        ([signed] * 3, {"prob_bits": 9}, {}, "prob_bits=9"),
        ([signed] * 3, {}, {"prob_scale": 1e-7}, "prob_scale must be at least 1e-6"),
        ([signed] * 3, {}, {"v_scale": 0.0}, "v_scale must be above 0"),
        # Their product is above 0.
        (
            [signed] * 3,
            {},
            {"q_scale": -1.0, "k_scale": -1.0},
            "[qk]_scale must be above 0, not -1",
        ),
        ([signed] * 3, {}, {"k_scale": -1.0}, "k_scale must be above 0, not -1"),
        ([signed] * 3, {}, {"q_scale": 1e39}, "q_scale is not a finite float32"),
        ([signed] * 3, {}, {"q_scale": 1e30, "k_scale": 1e30}, "q_scale times k_scale makes"),
    ):
        with pytest.raises(ValueError, match=named):
            program.add("attention_i8", inputs, ints | changed_ints, floats | changed, {})
