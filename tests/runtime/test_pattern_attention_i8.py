"""Fixed and strided attention on codes, judged by numpy with a mask over all pairs of frames."""

import sys

import numpy as np
import pytest
from packed_reference import codes_of_bits, float_rows
from test_attention_i8 import operand
from test_code_ops import whole_codes
from test_gemm_i8 import ISAS
from test_kernels import in_a_new_process
from test_pattern_attention_ops import CASES as PATTERNS
from test_pattern_attention_ops import masks, shares_of
from test_program import digest

from earbit import _core

BITS = [
    # near q, k, p, v, far q, k, p, v
    (8, 8, 8, 8, 8, 8, 8, 8),
    (4, 4, 4, 4, 8, 2, 8, 4),
    (2, 2, 2, 2, 2, 2, 2, 2),
    (1, 1, 1, 1, 8, 4, 4, 2),
    (4, 1, 8, 1, 1, 1, 1, 1),
]
CASES = [(pattern, BITS[i % len(BITS)]) for i, pattern in enumerate(PATTERNS)]
CASES += [((40, 2, 9, 6, expressivity, 2, 0), bits) for expressivity in (2, None) for bits in BITS]


def scales_of(case, bits):
    """Steps as floats: scores spread over a few units, shares over several codes."""
    n, _, d, *_ = case
    floats = {}
    for part, (q, k, p, _), more in (("near", bits[:4], 1.0), ("far", bits[4:], 0.7)):
        floats |= {
            f"{part}_q_scale": 2 * more / (2 ** (q - 1) * d**0.5),
            f"{part}_k_scale": 1 / 2 ** (k - 1),
            f"{part}_prob_scale": more / min(2**p - 1, 1.3 * n),
            f"{part}_v_scale": 0.37 * more,
        }
    return {name: float(np.float32(x)) for name, x in floats.items()}


def built(case, bits, **changed):
    """The program, its value, and what to feed it: the codes (6, n, width).

    changed: floats that are not those of `scales_of`.
    """
    n, n_heads, d, stride, expressivity, n_near, first_far = case
    width = n_heads * d
    random = np.random.default_rng(n + sum(bits))
    near, far = bits[:4], bits[4:]
    of_operands = (near[0], near[1], near[3], far[0], far[1], far[3])
    codes = np.stack([whole_codes(random, b, "signed", (n, width)) for b in of_operands])
    program = _core.Program()
    rows = float_rows(program, 6 * width)
    picked = [columns(program, rows, width, i, b, n_heads) for i, b in enumerate(of_operands)]
    ints = {"heads": n_heads, "stride": stride, "near_heads": n_near, "first_far_head": first_far}
    ints |= {"near_prob_bits": near[2], "far_prob_bits": far[2]}
    if expressivity is not None:
        ints["expressivity"] = expressivity
    op = ("strided" if expressivity is None else "fixed") + "_attention_i8"
    value = program.add(op, picked, ints, scales_of(case, bits) | changed, {})
    wave = np.concatenate(list(codes), axis=1).astype(np.float32).ravel()
    return program, value, wave, codes


def columns(program, rows, width, i, bits, heads):
    """Operand i of six in the rows, as signed codes."""
    plain = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
    half = np.eye(6 * width, dtype=np.float32)[3 * width * (i // 3) :][: 3 * width]
    three = program.add("conv_f32", [rows], plain, {}, {"weight": half})
    return operand(program, three, width, i % 3, bits, heads)


@pytest.mark.parametrize(("case", "bits"), CASES, ids=str)
def test_codes_of_near_and_far_frames_give_what_a_softmax_of_numpy_gives(case, bits):
    n, n_heads, d, *_ = case
    program, value, wave, codes = built(case, bits)
    y = program.run(wave, [value], 2)[0]
    q, k, v, far_q, far_k, far_v = codes.reshape(6, n, n_heads, d).swapaxes(1, 2)
    floats = scales_of(case, bits)
    near, far = masks(case)
    dots = q @ k.swapaxes(1, 2), far_q @ far_k.swapaxes(1, 2)
    scores = np.where(
        near,
        dots[0] * (floats["near_q_scale"] * floats["near_k_scale"]),
        dots[1] * (floats["far_q_scale"] * floats["far_k_scale"]),
    )
    shares = shares_of(scores, near | far)
    expected = np.zeros((n_heads, n, d), np.float32)
    is_sure = np.ones((n_heads, n), bool)
    for part, seen, x, most in (("near", near, v, bits[2]), ("far", far, far_v, bits[6])):
        steps = np.where(seen, shares / floats[f"{part}_prob_scale"], 0)
        # A row in which a probability lies on the border of two codes may have either of them.
        is_sure &= ~(np.abs(steps - np.floor(steps) - 0.5) < 1e-5 * (1 + steps)).any(-1)
        context = (np.minimum(np.rint(steps), 2**most - 1) @ x).astype(np.float32)
        scale = [np.float32(floats[f"{part}_{name}_scale"]) for name in ("prob", "v")]
        expected += context * scale[0] * scale[1]
    assert is_sure.mean() > 0.9
    found = y.reshape(n, n_heads, d).swapaxes(0, 1)
    assert np.array_equal(found[is_sure], expected[is_sure])
    if n > 30:
        assert len(np.unique(found)) > 5


@pytest.mark.parametrize("i", [3, 9])
def test_no_number_of_threads_changes_a_bit(i):
    program, value, wave, _ = built(*CASES[i])
    one = program.run(wave, [value], 1)[0]
    assert all(np.array_equal(program.run(wave, [value], t)[0], one) for t in (2, 3, 16))


def all_cases_digest():
    results = []
    for case in CASES:
        program, value, wave, _ = built(*case)
        results += program.run(wave, [value], 1)
    return digest(results)


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set_gives_the_same_bytes(isa):
    code = "import sys\nsys.path[:0] = " + repr([p for p in sys.path if p]) + "\n"
    code += "from test_pattern_attention_i8 import all_cases_digest\nprint(all_cases_digest())"
    done = in_a_new_process(code, isa)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == all_cases_digest()


def test_four_frames_by_hand():
    # Stride 1 of four frames, one column: frame 0 sees frames 0 and 1 near, 2 and 3 far.
    # Scores are 0 everywhere, so every share is 1/4: near code 1 of 1/4, far code 2 of 1/8.
    # v = 1, -2, 3, -4 near and far: (1 - 2) * 1/4 * 2 + 2 * (3 - 4) * 1/8 * 3.
    program = _core.Program()
    rows = float_rows(program, 3)
    q, k, v = (operand(program, rows, 1, i, 4, 1) for i in range(3))
    ints = {"heads": 1, "stride": 1, "near_heads": 1, "first_far_head": 0}
    ints |= {"near_prob_bits": 2, "far_prob_bits": 4}
    floats = {f"{part}_{x}_scale": 1.0 for part in ("near", "far") for x in "qk"}
    floats |= {"near_prob_scale": 0.25, "near_v_scale": 2.0}
    floats |= {"far_prob_scale": 0.125, "far_v_scale": 3.0}
    value = program.add("strided_attention_i8", [q, k, v, q, k, v], ints, floats, {})
    wave = np.array([[0, 1, 1], [0, 2, -2], [0, 3, 3], [0, 4, -4]], np.float32)
    y = program.run(wave.ravel(), [value], 1)[0]
    assert y.ravel().tolist() == [-1.25, 1.0 - 3.0, -1.5 + 0.75, -0.5 - 0.75]


@pytest.mark.parametrize(
    ("place", "ints", "floats", "named"),
    [
        (None, {"stride": 0}, {}, "stride=0"),
        (None, {"expressivity": 9}, {}, "expressivity=9; allowed are 1 to 8"),
        (None, {"near_heads": 3}, {}, "near_heads=3"),
        (None, {"first_far_head": 2, "near_heads": 1}, {}, "first_far_head=2"),
        (None, {"heads": 3, "near_heads": 3}, {}, "a multiple of heads=3"),
        (None, {"near_prob_bits": 9}, {}, "near_prob_bits=9"),
        (None, {"far_prob_bits": 0}, {}, "far_prob_bits=0"),
        (None, {}, {"near_q_scale": 0.0}, "near_q_scale must be above 0"),
        (None, {}, {"far_v_scale": -1.0}, "far_v_scale must be above 0"),
        (None, {}, {"near_k_scale": 1e39}, "near_k_scale is not a finite float32"),
        (None, {}, {"far_prob_scale": 1e-7}, "far_prob_scale must be at least 1e-6"),
        (2, {}, {}, "signed"),
        (5, {}, {}, "signed"),
    ],
)
def test_what_is_no_attention_on_codes_is_refused_by_name(place, ints, floats, named):
    program = _core.Program()
    inputs = [codes_of_bits(program, 4)] * 6
    if place is not None:
        inputs[place] = codes_of_bits(program, 4, is_unsigned=1)
    all_ints = {"heads": 2, "stride": 8, "expressivity": 3, "near_heads": 2, "first_far_head": 0}
    all_ints |= {"near_prob_bits": 4, "far_prob_bits": 4}
    scales = {f"{part}_{x}_scale": 0.5 for part in ("near", "far") for x in ("q", "k", "prob", "v")}
    with pytest.raises(ValueError, match=named):
        program.add("fixed_attention_i8", inputs, all_ints | ints, scales | floats, {})


def test_other_inputs_are_refused():
    program = _core.Program()
    codes, wide = codes_of_bits(program, 4), codes_of_bits(program, 8)
    ints = {"heads": 2, "stride": 8, "near_heads": 2, "first_far_head": 0}
    ints |= {"near_prob_bits": 4, "far_prob_bits": 4}
    scales = {f"{part}_{x}_scale": 0.5 for part in ("near", "far") for x in ("q", "k", "prob", "v")}
    for inputs, named in (
        ([codes] * 3, "3 inputs, expected 6"),
        ([codes] * 5 + [0], "floats, expected codes"),
        ([codes] * 5 + [wide], "the same width"),
    ):
        with pytest.raises(ValueError, match=named):
            program.add("strided_attention_i8", inputs, ints, scales, {})
