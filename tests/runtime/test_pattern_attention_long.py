"""Attention to near and far frames where too many are near to compute all rows at once."""

import subprocess
import sys

import numpy as np
import pytest
from packed_reference import float_rows
from test_pattern_attention_i8 import built as built_i8
from test_pattern_attention_i8 import columns, scales_of
from test_pattern_attention_ops import built, shares_of

# Rows, heads, d, stride, expressivity (None: strided), near heads, first far head; more than 2^24
# pairs, parts that end at row 3552 and 4320, and in both of them rows that see far frames.
CASES = [(4700, 1, 2, 4690, 3, 1, 0), (4700, 1, 2, 1900, None, 1, 0)]
ROWS = np.array([0, 1, 700, 3551, 3552, 3553, 3600, 4319, 4320, 4321, 4400, 4690, 4698, 4699])
BITS = (4, 4, 8, 4, 2, 8, 4, 4)


def seen_by_rows(case):
    """Near and far frames of ROWS: bools (rows, n), no pair in both."""
    n, _, _, stride, expressivity, *_ = case
    i, j = ROWS[:, None], np.arange(n)
    if expressivity is None:
        near, far = np.abs(i - j) <= stride, (i - j) % stride == 0
    else:
        near, far = i // stride == j // stride, j % stride >= stride - expressivity
    return near, far & ~near


@pytest.mark.parametrize("case", CASES, ids=str)
def test_parts_of_the_rows_see_what_all_rows_see(case):
    n, _, d, *_ = case
    x = np.random.default_rng(1).standard_normal((n, 3 * d)).astype(np.float32)
    program, op, operands, ints = built(case, "f32")
    y = program.add(op, operands, ints | {"heads": 1}, {"score_scale": 1.5}, {})
    found = program.run(x.ravel(), [y], 2)[0]
    q, k, v = x.astype(float).reshape(n, 3, d).swapaxes(0, 1)
    near, far = seen_by_rows(case)
    assert far.any(-1).sum() > 1
    expected = shares_of(q[ROWS] @ k.T * 1.5, near | far) @ v
    assert np.abs(found[ROWS] - expected).max() <= 1e-5


@pytest.mark.parametrize("case", CASES, ids=str)
def test_codes_in_parts_of_the_rows_give_what_numpy_gives(case):
    steps_of_shares = {"near_prob_scale": 2.0**-17, "far_prob_scale": 2.0**-18}
    program, value, wave, codes = built_i8(case, BITS, **steps_of_shares)
    found = program.run(wave, [value], 2)[0]
    q, k, v, far_q, far_k, far_v = codes
    floats = scales_of(case, BITS) | steps_of_shares
    near, far = seen_by_rows(case)
    scores = np.where(
        near,
        q[ROWS] @ k.T * (floats["near_q_scale"] * floats["near_k_scale"]),
        far_q[ROWS] @ far_k.T * (floats["far_q_scale"] * floats["far_k_scale"]),
    )
    shares = shares_of(scores, near | far)
    expected = np.zeros((len(ROWS), 2), np.float32)
    for part, seen, x in (("near", near, v), ("far", far, far_v)):
        steps = np.where(seen, shares / floats[f"{part}_prob_scale"], 0)
        context = (np.minimum(np.rint(steps), 255) @ x).astype(np.float32)
        scale = [np.float32(floats[f"{part}_{name}_scale"]) for name in ("prob", "v")]
        expected += context * scale[0] * scale[1]
    # Many frames have one share, and on the border of two codes it may have either of them.
    assert np.abs(found[ROWS] - expected).max() <= 0.02 * np.abs(expected).max()
    assert expected.std(0).min() > 0.1 * np.abs(expected).max()


def test_codes_in_parts_of_the_rows_give_the_bits_of_attention_to_all_frames():
    case = (4700, 1, 2, 4700, None, 1, 1)
    program, value, wave, codes = built_i8(case, BITS, near_prob_scale=2.0**-17)
    rows = float_rows(program, 12)
    q, k, v = (columns(program, rows, 2, i, 4, 1) for i in range(3))
    scales = scales_of(case, BITS) | {"near_prob_scale": 2.0**-17}
    # A power of two: there both factors are applied at once.
    floats = {name: scales[f"near_{name}"] for name in ("q_scale", "prob_scale", "v_scale")}
    ints = {"heads": 1, "radius": -1, "prob_bits": 8}
    all_frames = program.add("attention_i8", [q, k, v], ints, floats | {"k_scale": 0.125}, {})
    assert scales["near_k_scale"] == 0.125
    one, other = program.run(wave, [value, all_frames], 2)
    assert np.array_equal(one, other)


@pytest.mark.parametrize("kind", ["f32", "i8"])
@pytest.mark.parametrize("expressivity", [3, None], ids=["fixed", "strided"])
def test_heads_that_share_memory_on_several_threads_give_the_bits_of_one_thread(expressivity, kind):
    # On four threads a head has a quarter of 2^24 pairs: parts of 864 rows or more.
    case = (4700, 4, 2, 1900, expressivity, 3, 1)
    if kind == "f32":
        x = np.random.default_rng(1).standard_normal((4700, 24)).astype(np.float32)
        program, op, operands, ints = built(case, "f32")
        y = program.add(op, operands, ints | {"heads": 4}, {"score_scale": 1.5}, {})
    else:
        steps_of_shares = {"near_prob_scale": 2.0**-17, "far_prob_scale": 2.0**-18}
        program, y, x, _ = built_i8(case, BITS, **steps_of_shares)
    one, *others = (program.run(x.ravel(), [y], threads)[0] for threads in (1, 3, 4))
    assert len(np.unique(one)) > 100
    assert all(np.array_equal(one, other) for other in others)


@pytest.mark.skipif(sys.platform != "linux", reason="measures its own memory, as Linux can")
@pytest.mark.parametrize(("kind", "n", "n_heads"), [("f32", 17_000, 1), ("i8", 17_000, 1),
                                                    ("f32", 5000, 4), ("i8", 5000, 4)])  # fmt: skip
def test_a_stride_as_long_as_the_audio_takes_memory_for_some_rows_only(kind, n, n_heads):
    code = f"""if True:
        import sys
        sys.path[:0] = {[p for p in sys.path if p]!r}
        import resource
        import numpy as np
        import test_pattern_attention_i8, test_pattern_attention_ops
        case = ({n}, {n_heads}, 1, {n}, None, {n_heads}, 0)
        if {kind!r} == "f32":
            program, op, operands, ints = test_pattern_attention_ops.built(case, "f32")
            ints |= {{"heads": {n_heads}}}
            y = program.add(op, operands, ints, {{"score_scale": 1.0}}, {{}})
            wave = np.ones(3 * {n_heads * n}, np.float32)
        else:
            program, y, wave, _ = test_pattern_attention_i8.built(case, {BITS})
        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        before = peak()
        result = program.run(wave, [y], {n_heads})[0]
        assert np.isfinite(result).all() and len(result) == {n}
        print(peak() - before)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # All pairs at a time would take 1.2 GB, and 0.3 GB more for codes; 2^24 of each of four heads
    # 0.27 GB.
    assert int(done.stdout) < 200e6
