"""Ops on bits, judged by integer arithmetic of numpy on unpacked bits: equal, not close."""

import numpy as np
import pytest
from packed_reference import (
    bit_rows,
    float_rows,
    packed,
    unpacked,
    values,
    waveform_of,
    windows,
)

from earbit import _core


def random_bits(seed, *shape):
    return np.random.default_rng(seed).random(shape) < 0.5


@pytest.mark.parametrize(("n_cols", "n_groups"), [(1, 1), (63, 1), (64, 1), (65, 5), (192, 3)])
def test_pack_is_one_where_a_value_reaches_its_threshold(n_cols, n_groups):
    random = np.random.default_rng(1)
    x = random.integers(-3, 4, (37, n_cols)).astype(np.float32)
    threshold = random.integers(-3, 4, n_cols).astype(np.float32)
    threshold[::7] = -np.inf
    threshold[3::7] = np.inf
    program = _core.Program()
    ints, tensors = {"groups": n_groups}, {"threshold": threshold}
    bits = program.add("pack", [float_rows(program, n_cols)], ints, {}, tensors)
    (words,) = program.run(x.ravel(), [bits], 1)
    expected = (x >= threshold).reshape(37, n_groups, -1).transpose(1, 0, 2)
    assert words.dtype == np.uint64
    assert np.array_equal(words, packed(expected)), "bits or the zeros beyond them"


PRODUCTS = [
    # rows, channels, outputs, kernel, stride, pad_left, pad_right, groups, out_groups
    (1, 1, 1, 1, 1, 0, 0, 1, 1),
    (2, 64, 64, 1, 1, 0, 0, 1, 2),
    (31, 63, 65, 1, 1, 0, 0, 1, 5),
    (101, 130, 129, 1, 1, 0, 0, 1, 3),
    (13, 768, 192, 1, 1, 0, 0, 1, 3),
    (40, 65, 33, 3, 2, 0, 0, 1, 1),
    (41, 512, 70, 2, 2, 0, 0, 1, 7),
    (29, 6, 96, 7, 3, 3, 2, 1, 4),
    (50, 96, 96, 8, 1, 4, 3, 2, 1),
    (9, 36, 12, 12, 1, 6, 5, 3, 1),
]
NAMES = ("kernel", "stride", "pad_left", "pad_right", "groups")


def product(shape, is_unsigned, threads=1):
    """The program's input bits and weights, and all integer products by numpy."""
    n_rows, n_in, n_out, *rest = shape
    ints = dict(zip(NAMES, rest[:-1], strict=True))
    bits = random_bits(2, n_rows, n_in)
    weight = random_bits(3, n_out, ints["kernel"], n_in // ints["groups"])
    dots = []
    for x, w in zip(
        np.split(bits, ints["groups"], axis=1), np.split(weight, ints["groups"]), strict=True
    ):
        seen = windows(x, ints["kernel"], ints["stride"], ints["pad_left"], ints["pad_right"])
        dots.append(np.einsum("tkc,okc->to", values(seen, is_unsigned), values(w, False)))
    return bits, packed(weight).reshape(n_out, -1), np.concatenate(dots, axis=1), ints


@pytest.mark.parametrize("is_unsigned", [False, True], ids=["signed", "unsigned"])
@pytest.mark.parametrize("shape", PRODUCTS, ids=lambda s: "x".join(map(str, s)))
def test_scaled_products_equal_numpy_to_the_last_bit(shape, is_unsigned):
    bits, weight, dots, ints = product(shape, is_unsigned)
    random = np.random.default_rng(4)
    scale = random.random(shape[2]).astype(np.float32)
    bias = random.standard_normal(shape[2]).astype(np.float32)
    program = _core.Program()
    rows = bit_rows(program, shape[1], ints["groups"])
    all_ints = ints | {"unsigned": int(is_unsigned), "out_groups": 1}
    tensors = {"weight": weight, "scale": scale, "bias": bias}
    y = program.add("conv_b1", [rows], all_ints, {}, tensors)
    (result,) = program.run(waveform_of(bits), [y], 1)
    # float32 multiplies, rounds, adds, rounds: no fused step
    assert np.array_equal(result, scale * dots.astype(np.float32) + bias)


@pytest.mark.parametrize("is_unsigned", [False, True], ids=["signed", "unsigned"])
@pytest.mark.parametrize("shape", [s for s in PRODUCTS if s[7] == 1], ids=str)
def test_thresholded_products_are_the_bits_that_numpy_says(shape, is_unsigned):
    bits, weight, dots, ints = product(shape, is_unsigned)
    threshold = np.random.default_rng(5).integers(-4, 5, shape[2]).astype(np.int32)
    n_bits = weight.shape[1] * 64
    threshold[::5], threshold[3::5] = -n_bits, n_bits + 1
    program = _core.Program()
    all_ints = ints | {"unsigned": int(is_unsigned), "out_groups": shape[8]}
    tensors = {"weight": weight, "threshold": threshold}
    y = program.add("gemm_b1", [bit_rows(program, shape[1])], all_ints, {}, tensors)
    (words,) = program.run(waveform_of(bits), [y], 1)
    expected = (dots >= threshold).reshape(len(dots), shape[8], -1).transpose(1, 0, 2)
    assert np.array_equal(words, packed(expected))


@pytest.mark.parametrize("sign", [-1, 1])
def test_thresholds_next_to_a_large_dot_and_at_the_limits_of_int32_are_kept(sign):
    # A window of 2^20 equal samples, weights of ones: the dot is as large as the window.
    kernel = 2**20
    dot = sign * kernel
    limits = np.iinfo(np.int32)
    border = 2**30
    threshold = [dot - 1, dot, dot + 1, border, border + 1, -border, -border - 1]
    threshold += [limits.min, limits.min + 1, limits.max - 1, limits.max]
    program = _core.Program()
    ints = {"kernel": kernel, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
    tensors = {"weight": np.ones((len(threshold), kernel), np.uint64)}
    tensors["threshold"] = np.array(threshold, np.int32)
    ints |= {"unsigned": 0, "out_groups": 1}
    y = program.add("conv_b1", [bit_rows(program, 1)], ints, {}, tensors)
    (words,) = program.run(np.full(kernel, sign, np.float32), [y], 1)
    assert unpacked(words[0], len(threshold)).tolist() == [[dot >= t for t in threshold]]


def test_ten_bits_by_hand_signed_and_unsigned():
    a = np.array([[int(c) for c in "1011001011"]], bool)
    w = packed(np.array([[int(c) for c in "1101011001"]], bool))
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    program = _core.Program()
    rows = bit_rows(program, 10)
    ints = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1, "out_groups": 1}
    tensors = {"weight": w, "scale": one, "bias": zero}
    both = [
        program.add("gemm_b1", [rows], ints | {"unsigned": unsigned}, {}, tensors)
        for unsigned in (0, 1)
    ]
    signed, unsigned = program.run(waveform_of(a), both, 1)
    assert (signed.item(), unsigned.item()) == (2.0, 2.0)


def attention_by_numpy(q, k, v, score_scale, prob_half, radius):
    """Contexts (rows, heads * d) of (heads, rows, d) bools; how near any p comes to prob_half."""
    dots = np.einsum("hic,hjc->hij", values(q, False), values(k, False))
    n_rows = dots.shape[1]
    scores = np.float32(score_scale).astype(float) * dots
    distance = np.abs(np.subtract.outer(np.arange(n_rows), np.arange(n_rows)))
    if radius >= 0:
        scores[:, distance > radius] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    p = weights / weights.sum(-1, keepdims=True)
    half = float(np.float32(prob_half))
    context = np.einsum("hij,hjc->ihc", values(p > half, True), values(v, False))
    return context.reshape(n_rows, -1), np.abs(p / half - 1).min()


ATTENTIONS = [
    # rows, heads, d, radius, score_scale, prob_half
    (1, 1, 1, -1, 0.5, 0.3),
    (5, 1, 3, -1, 0.3, 0.17),
    (64, 2, 64, -1, 0.05, 0.0141),
    (131, 3, 24, -1, 0.11, 0.00913),
    (200, 1, 65, -1, 0.05, 0.00613),
    (70, 2, 36, 0, 0.05, 0.37),
    (70, 2, 36, 1, 0.05, 0.337),
    (150, 4, 36, 16, 0.08, 0.0317),
    (333, 1, 64, 40, 0.06, 0.0127),
    (90, 2, 130, 400, 0.03, 0.0113),
]


def attention_inputs(case, floats, ints, tensors):
    n_rows, n_heads, d, *_ = case
    width = n_heads * d
    operands = random_bits(6, n_rows, 3, width)
    program = _core.Program()
    rows = float_rows(program, 3 * width)
    picked = []
    for i in range(3):
        weight = np.zeros((width, 3 * width), np.float32)
        weight[np.arange(width), i * width + np.arange(width)] = 1
        plain = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
        part = program.add("conv_f32", [rows], plain, {}, {"weight": weight})
        zeros = np.zeros(width, np.float32)
        picked.append(program.add("pack", [part], {"groups": n_heads}, {}, {"threshold": zeros}))
    y = program.add("attention_b1", picked, ints, floats, tensors)
    (result,) = program.run(waveform_of(operands.reshape(n_rows, -1)), [y], 2)
    heads = operands.reshape(n_rows, 3, n_heads, d).transpose(1, 2, 0, 3)
    return result, attention_by_numpy(*heads, case[4], case[5], case[3])


@pytest.mark.parametrize("case", ATTENTIONS, ids=str)
def test_binary_attention_equals_a_softmax_of_numpy(case):
    _, _, d, radius, score_scale, prob_half = case
    floats = {"score_scale": score_scale, "prob_half": prob_half, "scale": 0.37}
    result, (context, nearest) = attention_inputs(
        case, floats, {"head_dim": d, "radius": radius}, {}
    )
    assert nearest > 1e-5, "a tie would make this test depend on rounding"
    assert case[0] == 1 or len(np.unique(context)) > 1
    assert np.array_equal(result, np.float32(0.37) * context.astype(np.float32))


@pytest.mark.parametrize("case", ATTENTIONS, ids=str)
def test_binary_attention_writes_the_bits_of_its_thresholds(case):
    _, n_heads, d, radius, score_scale, prob_half = case
    threshold = np.random.default_rng(8).integers(-3, 4, n_heads * d).astype(np.int32)
    floats = {"score_scale": score_scale, "prob_half": prob_half}
    ints = {"head_dim": d, "radius": radius}
    result, (context, _) = attention_inputs(case, floats, ints, {"threshold": threshold})
    assert result.shape[0] == 1
    assert np.array_equal(unpacked(result[0], n_heads * d), context >= threshold)
    assert np.array_equal(packed(unpacked(result, n_heads * d)), result), "zeros beyond the row"


@pytest.mark.parametrize("op", ["attention_b1", "relative_attention_b1"])
def test_heads_of_another_size_are_refused_before_anything_is_sized_by_them(op):
    program = _core.Program()
    bits = bit_rows(program, 64, 4)
    n_inputs = 5 if op == "relative_attention_b1" else 3
    ints = {"head_dim": 32768} | ({} if n_inputs == 5 else {"radius": -1})
    with pytest.raises(ValueError, match="same heads of head_dim=32768 bits"):
        program.add(op, [bits] * n_inputs, ints, {}, {})
