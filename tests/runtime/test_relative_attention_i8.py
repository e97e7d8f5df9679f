"""Attention with relative positions on codes: integers and the softmax by numpy."""

import numpy as np
import pytest
from packed_reference import PLAIN, codes_of_bits, float_rows
from test_code_ops import whole_codes
from test_relative_attention import by_distance, columns, heads_of, operands_from, softmax

from earbit import _core

CASES = [
    # rows, heads, d, bits of q, p, k, r, v and probabilities, steps of q k and p r, a step of p
    (1, 1, 1, (8, 8, 8, 8, 8, 8), 0.01, 0.02, 1 / 255),
    (2, 2, 3, (4, 4, 4, 4, 4, 4), 0.03, 0.01, 1 / 19),
    (5, 1, 7, (2, 2, 2, 2, 2, 2), 0.2, 0.1, 0.17),
    (47, 3, 36, (8, 8, 8, 8, 8, 8), 1e-5, 2e-5, 1 / 1500),
    (49, 1, 5, (4, 4, 4, 4, 4, 4), 0.02, 0.03, 1 / 200),
    (64, 2, 65, (8, 4, 4, 8, 2, 4), 5e-4, 2e-4, 1 / 700),
    (131, 2, 16, (1, 2, 4, 1, 8, 8), 0.05, 0.1, 1 / 2500),
    (70, 2, 18, (2, 1, 1, 2, 1, 1), 0.1, 0.2, 0.03),
    (200, 1, 24, (8, 8, 8, 8, 8, 8), 2e-5, 1e-5, 1 / 4000),
]
ROLES = ("q", "p", "k", "r", "v")


def coded(program, value, width, bits, heads):
    """A float value of whole codes as signed codes of these bits."""
    zeros = np.zeros(width, np.float32)
    if bits == 1:
        packed = program.add("pack", [value], {"groups": heads}, {}, {"threshold": zeros})
        return program.add("unpack", [packed], {"unsigned": 0}, {}, {})
    ints, floats = {"bits": bits, "unsigned": 0}, {"scale": 1.0, "factor": 1.0}
    return program.add("quantize", [value], ints, floats, {"shift": zeros})


def attention(case, threads=2):
    """The op's result, its operands (heads, rows, d) by name, and the scales it was given."""
    n, heads, d, bits, of_content, of_distance, step = case
    width = heads * d
    random = np.random.default_rng(n + d)
    x = {
        role: whole_codes(random, b, "signed", (2 * n - 1, width))
        for role, b in zip(ROLES, bits, strict=False)
    }
    program = _core.Program()
    q, p, k, v, r = operands_from(program, n, width, 4)
    values = dict(zip(ROLES, (q, p, k, r, v), strict=True))
    operands = [
        coded(program, values[role], width, b, heads) for role, b in zip(ROLES, bits, strict=False)
    ]
    floats = {"q_scale": of_content / 0.3, "k_scale": 0.3, "p_scale": of_distance / 0.7}
    floats |= {"r_scale": 0.7, "prob_scale": step, "v_scale": 0.37}
    ints = {"heads": heads, "prob_bits": bits[5]}
    y = program.add("relative_attention_i8", operands, ints, floats, {})
    wave = np.concatenate([x[role] for role in ("q", "p", "k", "v", "r")], axis=1)
    (result,) = program.run(wave.astype(np.float32).ravel(), [y], threads)
    rows = {role: heads_of(x[role] if role == "r" else x[role][:n], heads) for role in ROLES}
    return result, rows, {name: np.float32(scale) for name, scale in floats.items()}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_relative_attention_on_codes_equals_a_softmax_of_numpy(case):
    n, _, d, bits, *_ = case
    y, x, scale = attention(case)
    content = (x["q"] @ x["k"].swapaxes(1, 2)).astype(np.float32)
    position = by_distance(x["p"] @ x["r"].swapaxes(1, 2)).astype(np.float32)
    # In float32 and in this order, as training has it; the softmax in double.
    scores = content * scale["q_scale"] * scale["k_scale"]
    scores = scores + position * scale["p_scale"] * scale["r_scale"]
    steps = softmax(scores.astype(float)) / float(scale["prob_scale"])
    codes = np.minimum(np.rint(steps), 2 ** bits[5] - 1).astype(int)
    context = (codes @ x["v"]).transpose(1, 0, 2).reshape(n, -1).astype(np.float32)
    expected = context * scale["prob_scale"] * scale["v_scale"]
    # A row in which a probability lies on the border of two codes may have either of them.
    near = np.abs(steps - np.floor(steps) - 0.5) < 1e-5 * (1 + steps)
    is_sure = ~near.any(-1).T.repeat(d, axis=1)
    assert is_sure.mean() > 0.8
    assert np.array_equal(y[is_sure], expected[is_sure])
    if n > 5:
        assert len(np.unique(codes)) > 1


def test_no_number_of_threads_changes_a_bit():
    for case in (CASES[5], CASES[6]):
        one = attention(case, threads=1)[0]
        assert all(np.array_equal(attention(case, threads=n)[0], one) for n in (2, 3, 16))


def test_two_frames_by_hand():
    # q k = [[1, -1], [-2, 2]]; r is 1, 0 and -2 at distances 1, 0 and -1, and p is 1 and -1, so
    # p r = [[0, -2], [-1, 0]]: scores [[1, -3], [-3, 2]], p of the first key 0.982 and 0.0067,
    # in steps of 1/4: 3 (the most in 2 bits) and 0, 0 and 3; v = 1, -2.
    program = _core.Program()
    q, p, k, v, r = operands_from(program, 2, 1, 4)
    operands = [coded(program, value, 1, 2, 1) for value in (q, p, k, r, v)]
    floats = {"q_scale": 1.0, "k_scale": 1.0, "p_scale": 1.0, "r_scale": 1.0}
    floats |= {"prob_scale": 0.25, "v_scale": 2.0}
    ints = {"heads": 1, "prob_bits": 2}
    value = program.add("relative_attention_i8", operands, ints, floats, {})
    # columns q, p, k, v, r; the third row is r's alone
    wave = np.array([[1, 1, 1, 1, 1], [-2, -1, -1, -2, 0], [0, 0, 0, 0, -2]], np.float32)
    assert program.run(wave.ravel(), [value], 1)[0].tolist() == [[1.5], [-3.0]]


def test_scales_beyond_what_exp_holds_leave_one_key_to_a_query():
    n, heads, d, bits, *_ = CASES[3]
    y, x, scale = attention((n, heads, d, bits, 31.7, 57.3, 1 / 255))
    content = (x["q"] @ x["k"].swapaxes(1, 2)) * 31.7
    scores = content + by_distance(x["p"] @ x["r"].swapaxes(1, 2)) * 57.3
    chosen = np.take_along_axis(x["v"], scores.argmax(-1)[..., None], 1)
    expected = (255 * chosen).transpose(1, 0, 2).reshape(n, -1).astype(np.float32)
    assert np.array_equal(y, expected * scale["prob_scale"] * scale["v_scale"])


INTS = {"heads": 2, "prob_bits": 4}
FLOATS = dict.fromkeys(("q_scale", "k_scale", "p_scale", "r_scale", "v_scale", "prob_scale"), 0.25)


@pytest.mark.parametrize(
    ("odd", "ints", "floats", "named"),
    [
        ("unsigned", {}, {}, "signed"),
        ("floats", {}, {}, "floats, expected codes"),
        ("wide", {}, {}, "same width"),
        ("", {"heads": 3}, {}, "heads=3"),
        ("", {"prob_bits": 9}, {}, "prob_bits=9"),
        ("", {"radius": 3}, {}, "radius"),
        ("", {}, {"prob_scale": 1e-7}, "prob_scale must be at least"),
        ("", {}, {"v_scale": 0.0}, "above 0"),
        *(
            ("", {}, {f"{role}_scale": bad}, f"{role}_scale {says}")
            for role in "qkpr"
            for bad, says in ((-1.0, "must be above 0"), (1e39, "is not a finite float32"))
        ),
    ],
)
def test_what_relative_attention_on_codes_cannot_be_is_refused_by_name(odd, ints, floats, named):
    program = _core.Program()
    signed = codes_of_bits(program, 4)
    values = {"unsigned": codes_of_bits(program, 4, is_unsigned=1), "": signed}
    values |= {"floats": float_rows(program, 4), "wide": codes_of_bits(program, 8)}
    with pytest.raises(ValueError, match=named):
        program.add(
            "relative_attention_i8", [signed] * 4 + [values[odd]], INTS | ints, FLOATS | floats, {}
        )


def test_heads_whose_scores_could_exceed_32_bits_are_refused_with_their_width():
    program = _core.Program()
    width = 2 * 32_769
    wide = program.add("conv_f32", [0], PLAIN, {}, {"weight": np.ones((width, 1), np.float32)})
    wide = coded(program, wide, width, 4, 2)
    with pytest.raises(ValueError, match="heads of 32769 columns; at most 32768"):
        program.add("relative_attention_i8", [wide] * 5, INTS, FLOATS, {})


@pytest.mark.parametrize("i", range(5))
def test_operands_of_another_length_are_refused(i):
    program = _core.Program()
    rows = float_rows(program, 4)
    short = columns(program, rows, 4, 0, 4, kernel=3)
    lengths = [short, short, short, rows, short]
    lengths[i] = short if i == 3 else rows
    operands = [coded(program, value, 4, 4, 2) for value in lengths]
    y = program.add("relative_attention_i8", operands, INTS, FLOATS, {})
    with pytest.raises(ValueError, match="rows, expected"):
        program.run(np.zeros(20, np.float32), [y], 1)
