"""Intervals of estimates against scipy and by hand."""

import math

import pytest
import scipy.stats

from earbit.heads.estimates import Estimate, combined, needed_tasks, over_seeds


def test_without_intervals_several_seeds_give_students_interval_of_the_mean():
    values = [0.61, 0.58, 0.66, 0.63]
    found = over_seeds(values, [None] * 4)
    error = scipy.stats.sem(values)
    low, high = scipy.stats.t.interval(0.95, df=3, loc=sum(values) / 4, scale=error)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_a_seed_keeps_its_own_interval():
    found = over_seeds([0.5], [(0.4, 0.7)])
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.4, 0.7))


def test_equal_seeds_do_not_narrow_the_interval_of_the_shared_test_clips():
    found = over_seeds([0.5, 0.5, 0.5], [(0.4, 0.7)] * 3)
    assert (found.low, found.high) == pytest.approx((0.4, 0.7))


def test_the_spread_of_seeds_is_added_to_the_interval_of_clips():
    found = over_seeds([0.4, 0.6], [(0.3, 0.5), (0.5, 0.7)])
    spread = 12.706 * math.sqrt(0.02 / 2)
    assert found.high == pytest.approx(0.5 + math.hypot(0.1, spread), abs=1e-6)


def test_a_difference_of_symmetric_intervals_adds_variances():
    first, second = Estimate(0.8, 0.77, 0.83), Estimate(0.7, 0.66, 0.74)
    found = first.minus(second)
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.05, 0.15))
    assert found.excludes_zero


def test_a_difference_takes_the_ends_that_are_near_each_other():
    # Only the lower end of the first and the upper end of the second bound the difference below.
    found = Estimate(0.8, 0.7, 0.81).minus(Estimate(0.6, 0.59, 0.8))
    assert found.low == pytest.approx(0.2 - math.hypot(0.1, 0.2))
    assert found.high == pytest.approx(0.2 + math.hypot(0.01, 0.01))


def test_a_difference_of_correlated_estimates_is_narrower():
    pair = [(1.0, Estimate(0.8, 0.77, 0.83)), (-1.0, Estimate(0.7, 0.66, 0.74))]
    found = combined(pair, lambda i, j: 0.5)
    half = math.sqrt(0.03**2 + 0.04**2 - 2 * 0.5 * 0.03 * 0.04)
    assert (found.low, found.high) == pytest.approx((0.1 - half, 0.1 + half))
    assert combined(pair, lambda i, j: 1.0).high == pytest.approx(0.11)


def test_errors_of_seeds_are_not_correlated():
    ends = [(0.4, 0.6), (0.4, 0.6)]
    first, second = over_seeds([0.5, 0.5], ends), over_seeds([0.49, 0.51], ends)
    found = combined([(1.0, first), (-1.0, second)], lambda i, j: 1.0)
    assert found.high == pytest.approx(12.706 * math.sqrt(0.0002 / 2), rel=1e-6)


def test_a_negative_factor_swaps_the_ends():
    found = Estimate(1.0, 0.5, 2.0).times(-2)
    assert (found.value, found.low, found.high) == (-2.0, -4.0, -1.0)


def test_without_an_interval_nothing_is_clear():
    assert not Estimate(5.0).minus(Estimate(1.0, 0.9, 1.1)).excludes_zero


@pytest.mark.parametrize("n_tasks", [1, 2, 3, 5, 10, 50])
def test_so_many_tasks_differ_by_chance_with_less_than_5_percent(n_tasks):
    needed = needed_tasks(n_tasks)
    assert scipy.stats.binom.sf(needed - 1, n_tasks, 0.025) < 0.05
    assert scipy.stats.binom.sf(needed - 2, n_tasks, 0.025) >= 0.05
