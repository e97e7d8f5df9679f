"""What a head does to hidden states, judged by numpy in double precision."""

import numpy as np
import pytest
from packed_reference import PLAIN, float_rows, run_one

from earbit import _core

SHAPES = [(1, 1), (63, 5), (64, 64), (65, 7), (1000, 33)]


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("centre", [0.0, 1000.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_mean_is_that_of_every_column_also_far_from_zero(shape, centre):
    x = normal(1, *shape) + np.float32(centre)
    y = run_one("mean_frames", x)
    assert y.shape == (1, shape[1])
    expected = x.astype(float).mean(0)
    # Sums of 64 numbers in float32, each rounded.
    assert np.abs(y[0] - expected).max() <= 4e-6 * (1 + centre)


def test_the_mean_of_many_frames_loses_no_more_than_that_of_few():
    # Added up one by one in float32 these would be off by 5e-4.
    x = np.full((300_000, 1), 0.1, np.float32)
    y = run_one("mean_frames", x)
    assert abs(float(y[0, 0]) - float(x[0, 0])) <= 1e-6


@pytest.mark.parametrize("n_values", [1, 2, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_sum_weighs_every_value_by_its_own_weight(shape, n_values):
    program = _core.Program()
    rows = float_rows(program, shape[1])
    scales = [normal(2 + i, shape[1], shape[1]) for i in range(n_values)]
    states = [program.add("conv_f32", [rows], PLAIN, {}, {"weight": w}) for w in scales]
    weight = normal(9, n_values)
    mixed = program.add("weighted_sum", states, {}, {}, {"weight": weight})
    y, *given = program.run(normal(10, *shape).ravel(), [mixed, *states], 1)
    expected = np.tensordot(weight.astype(float), np.stack(given).astype(float), 1)
    assert np.abs(y - expected).max() <= 1e-6 * n_values * (1 + np.abs(given).max())


def test_a_value_may_stand_in_a_sum_twice():
    x = normal(11, 70, 3)
    program = _core.Program()
    rows = float_rows(program, 3)
    mixed = program.add("weighted_sum", [rows] * 2, {}, {}, {"weight": np.float32([2, -0.5])})
    assert np.array_equal(program.run(x.ravel(), [mixed], 1)[0], np.float32(1.5) * x)


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_threads_change_no_bit(n_threads):
    x = normal(12, 777, 20)
    program = _core.Program()
    rows = float_rows(program, 20)
    other = program.add("relu", [rows], {}, {}, {})
    weight = {"weight": normal(13, 2)}
    mixed = program.add("weighted_sum", [other, rows], {}, {}, weight)
    mean = program.add("mean_frames", [mixed], {}, {}, {})
    alone = program.run(x.ravel(), [mixed, mean], 1)
    together = program.run(x.ravel(), [mixed, mean], n_threads)
    assert [a.tobytes() for a in alone] == [b.tobytes() for b in together]


def test_a_sum_refuses_what_is_not_of_one_shape_by_its_numbers():
    program = _core.Program()
    wide, narrow = float_rows(program, 4), float_rows(program, 3)
    one = {"weight": np.ones(2, np.float32)}
    with pytest.raises(ValueError, match="weighted_sum of 4 and 3 columns"):
        program.add("weighted_sum", [wide, narrow], {}, {}, one)
    with pytest.raises(ValueError, match=r"\(2\), expected float32 \(1\)"):
        program.add("weighted_sum", [wide], {}, {}, one)
    with pytest.raises(ValueError, match="0 inputs, expected 1"):
        program.add("weighted_sum", [], {}, {}, {})
    short = program.add("mean_frames", [wide], {}, {}, {})
    mixed = program.add("weighted_sum", [wide, short], {}, {}, one)
    with pytest.raises(ValueError, match="weighted_sum of 10 and 1 frames"):
        program.run(np.zeros(40, np.float32), [mixed], 1)
