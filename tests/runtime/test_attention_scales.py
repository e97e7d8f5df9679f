"""Scales of attention on bits and codes: what no float32 arithmetic can take is refused by name."""

import numpy as np
import pytest
from small_programs import small_programs

from earbit import _core

PROGRAMS = dict(small_programs())
# The attention ops on bits and codes: program, place, record.
OPS = [
    (name, i, op)
    for name, program in PROGRAMS.items()
    for i, op in enumerate(program.ops)
    if "attention" in op["op"] and not op["op"].endswith("_f32")
]
STEPS = ("prob_half", "prob_scale")


def of_scores(op):
    """Names of what its dots are multiplied with."""
    return [name for name in op["floats"] if not name.endswith(("v_scale", "_half", "prob_scale"))
            and name != "scale"]  # fmt: skip


def built(name, place, floats):
    """A program in which one op has other numbers."""
    program, core = PROGRAMS[name], _core.Program()
    for i, op in enumerate(program.ops):
        tensors = {role: program.tensors[t] for role, t in op["tensors"].items()}
        numbers = op["floats"] | (floats if i == place else {})
        core.add(op["op"], op["inputs"], op["ints"], numbers, tensors)
    return core


def cases(names_of):
    return [
        pytest.param(name, i, number, id=f"{op['op']}-{number}")
        for name, i, op in OPS
        for number in names_of(op)
    ]


def test_every_attention_on_bits_or_codes_is_there():
    assert len({op["op"] for _, _, op in OPS}) == 4
    assert min(len(of_scores(op)) for _, _, op in OPS) == 1


@pytest.mark.parametrize(("name", "place", "number"), cases(of_scores))
def test_scales_of_scores_that_overflow_are_refused_by_name(name, place, number):
    for scale in (3e38, 2.0**119):
        with pytest.raises(ValueError, match=rf"{number} makes scores of more than 2\^120"):
            built(name, place, {number: scale})


@pytest.mark.parametrize(
    ("name", "place", "number"),
    cases(lambda op: [n for n in of_scores(op) if n.endswith(("q_scale", "p_scale"))]),
)
def test_scales_whose_product_is_zero_are_refused_by_name(name, place, number):
    other = number.replace("q_scale", "k_scale").replace("p_scale", "r_scale")
    with pytest.raises(ValueError, match=f"{number} times {other} is 0 in float32"):
        built(name, place, {number: 1e-30, other: 1e-30})


@pytest.mark.parametrize(
    ("name", "place", "number"), cases(lambda op: [n for n in op["floats"] if n.endswith(STEPS)])
)
def test_steps_of_probabilities_below_a_millionth_are_refused_by_name(name, place, number):
    built(name, place, {number: 1e-6})
    for step in (9.9e-7, 1e-39, 0.0, -1.0):
        with pytest.raises(ValueError, match=f"{number} must be at least 1e-6"):
            built(name, place, {number: step})


@pytest.mark.parametrize(
    ("name", "place", "op"),
    # A position bias decides between equal scores, as long as it is not lost beside them.
    [pytest.param(*case, id=case[2]["op"]) for case in OPS if "radius" not in case[2]["ints"]],
)
def test_scores_as_large_as_they_may_be_leave_the_frames_of_the_largest(name, place, op):
    # Steps of 2^10 and of 2^100 are both far beyond what exp tells from nothing, and exact.
    audio = np.random.default_rng(1).uniform(-1, 1, 1600).astype(np.float32)
    results = []
    for scale in (2.0**10, 2.0**100):
        rights = ("k_scale", "r_scale")
        floats = {n: 1.0 if n.endswith(rights) else scale for n in of_scores(op)}
        results += built(name, place, floats).run(audio, [place + 1], 2)
    assert np.array_equal(*results)
    if results[0].dtype == np.float32:
        assert np.isfinite(results[0]).all()
