"""Fixed and strided attention, judged by numpy with a mask over all pairs of frames."""

import numpy as np
import pytest
from packed_reference import PLAIN, float_rows, values, waveform_of

from earbit import _core

CASES = [
    # rows, heads, d, stride, expressivity (None: strided), near heads, first far head
    (1, 1, 1, 4, 2, 1, 0),
    (3, 2, 5, 8, 3, 2, 0),
    (7, 2, 5, 8, 3, 1, 1),
    (70, 2, 36, 32, 8, 2, 0),
    (131, 3, 16, 7, 7, 1, 1),
    (150, 1, 65, 64, 1, 1, 0),
    (1, 1, 3, 4, None, 1, 0),
    (3, 2, 5, 8, None, 2, 0),
    (50, 3, 7, 1, None, 3, 0),
    (70, 2, 36, 32, None, 2, 0),
    (131, 3, 16, 7, None, 1, 1),
    (200, 2, 65, 40, None, 2, 0),
]


def masks(case):
    """Near and far pairs of every head: bools (heads, n, n), no pair in both."""
    n, n_heads, _, stride, expressivity, n_near, first_far = case
    i, j = np.indices((n, n))
    if expressivity is None:
        near, far = np.abs(i - j) <= stride, (i - j) % stride == 0
    else:
        near, far = i // stride == j // stride, j % stride >= stride - expressivity
    heads = np.arange(n_heads)[:, None, None]
    near = near & (heads < n_near)
    return near, far & (heads >= first_far) & ~near


def operands_of(x, case):
    n, n_heads, d, *_ = case
    return x.reshape(n, 3, n_heads, d).transpose(1, 2, 0, 3)


def shares_of(scores, allowed):
    """Softmax over the allowed pairs; zeros in rows without any."""
    scores = np.where(allowed, scores, -np.inf)
    most = np.where(allowed.any(-1), scores.max(-1), 0)[..., None]
    shares = np.exp(scores - most)
    return shares / np.maximum(shares.sum(-1, keepdims=True), 1e-300)


def built(case, kind):
    """A program up to q, k and v, and the ints that both ops have."""
    _, n_heads, d, stride, expressivity, n_near, first_far = case
    width = n_heads * d
    program = _core.Program()
    rows = float_rows(program, 3 * width)
    operands = []
    for i in range(3):
        weight = np.eye(3 * width, dtype=np.float32)[i * width : (i + 1) * width]
        value = program.add("conv_f32", [rows], PLAIN, {}, {"weight": weight})
        if kind == "b1":
            zeros = {"threshold": np.zeros(width, np.float32)}
            value = program.add("pack", [value], {"groups": n_heads}, {}, zeros)
        operands.append(value)
    ints = {"stride": stride, "near_heads": n_near, "first_far_head": first_far}
    if expressivity is not None:
        ints["expressivity"] = expressivity
    op = ("strided" if expressivity is None else "fixed") + f"_attention_{kind}"
    return program, op, operands, ints


@pytest.mark.parametrize("case", CASES, ids=str)
def test_float_queries_see_near_and_far_frames_once(case):
    n, n_heads, d, *_ = case
    x = np.random.default_rng(1).standard_normal((n, 3 * n_heads * d)).astype(np.float32)
    program, op, operands, ints = built(case, "f32")
    y = program.add(op, operands, ints | {"heads": n_heads}, {"score_scale": 1.5 * d**-0.5}, {})
    results = [program.run(x.ravel(), [y], threads)[0] for threads in (1, 3)]
    q, k, v = operands_of(x.astype(float), case)
    near, far = masks(case)
    shares = shares_of(q @ k.transpose(0, 2, 1) * 1.5 * d**-0.5, near | far)
    expected = (shares @ v).transpose(1, 0, 2).reshape(n, -1)
    assert np.abs(results[0] - expected).max() <= 1e-5
    assert np.array_equal(results[0], results[1]), "threads changed a bit"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_binary_near_and_far_products_have_scales_of_their_own(case):
    n, n_heads, d, *_ = case
    bits = np.random.default_rng(2).random((n, 3 * n_heads * d)) < 0.5
    program, op, operands, ints = built(case, "b1")
    near, far = masks(case)
    half = 0.53 / np.maximum((near | far).sum(-1).mean(), 1)
    floats = {"near_score_scale": 0.11, "near_prob_half": 1.3 * half, "near_scale": 0.37}
    floats |= {"far_score_scale": 0.07, "far_prob_half": 0.9 * half, "far_scale": 0.23}
    y = program.add(op, operands, ints | {"head_dim": d}, floats, {})
    results = [program.run(waveform_of(bits), [y], threads)[0] for threads in (1, 3)]
    q, k, v = operands_of(values(bits, False), case)
    scale = {name: np.float32(number) for name, number in floats.items()}
    dots = (q @ k.transpose(0, 2, 1)).astype(float)
    scores = np.where(near, scale["near_score_scale"] * dots, scale["far_score_scale"] * dots)
    shares = shares_of(scores, near | far)
    halves = np.where(near, float(scale["near_prob_half"]), float(scale["far_prob_half"]))
    seen = near | far
    nearest = np.abs(shares / halves - 1)[seen].min()
    assert nearest > 1e-5, "a tie would make this test depend on rounding"
    ones = seen & (shares > halves)
    context = [((ones & part) @ v).astype(np.float32) for part in (near, far)]
    expected = scale["near_scale"] * context[0] + scale["far_scale"] * context[1]
    assert np.array_equal(results[0], expected.transpose(1, 0, 2).reshape(n, -1))
    assert np.array_equal(results[0], results[1]), "threads changed a bit"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_least_halves_find_every_frame_that_is_seen_and_none_that_is_hidden(case):
    n, n_heads, d, *_ = case
    bits = np.random.default_rng(3).random((n, 3 * n_heads * d)) < 0.5
    program, op, operands, ints = built(case, "b1")
    scales = {"score_scale": 0.01, "prob_half": 1e-6, "scale": 1.0}
    floats = {f"{part}_{name}": x for part in ("near", "far") for name, x in scales.items()}
    y = program.add(op, operands, ints | {"head_dim": d}, floats, {})
    near, far = masks(case)
    v = operands_of(values(bits, False), case)[2]
    expected = ((near | far) @ v).transpose(1, 0, 2).reshape(n, -1)
    assert np.array_equal(program.run(waveform_of(bits), [y], 1)[0], expected)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stride": 0}, "stride=0"),
        ({"expressivity": 9}, "expressivity=9; allowed are 1 to 8"),
        ({"near_heads": 3}, "near_heads=3; allowed are 0 to 2"),
        ({"near_heads": 1, "first_far_head": 2}, "first_far_head=2; allowed are 0 to 1"),
        ({"heads": 3}, "a multiple of heads=3"),
    ],
)
def test_a_pattern_that_is_none_is_refused_by_name(changed, message):
    program, op, operands, ints = built((3, 2, 5, 8, 3, 2, 0), "f32")
    with pytest.raises(ValueError, match=message):
        program.add(op, operands, ints | {"heads": 2} | changed, {"score_scale": 1.0}, {})
