"""Figures of a report that are computed there."""

import pytest

from earbit.study.old_report import bits_equal, commonest_share, interval


def test_the_interval_is_wilsons():
    # Brown, Cai, DasGupta (2001): 0 of 10 gives 0 to z^2 / (n + z^2).
    low, high = interval(0.0, 10)
    assert low == pytest.approx(0.0, abs=1e-9)
    assert high == pytest.approx(1.96**2 / (10 + 1.96**2))
    low, high = interval(0.5, 100)
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_chance_is_the_commonest_class():
    assert commonest_share([1, 6, 3]) == 0.6


def test_a_program_without_bits_has_no_share_of_equal_bits():
    assert bits_equal({"worst_leaf": "none", "bit_agreement": 1.0}) == "-"
    assert bits_equal({"worst_leaf": "a", "bit_agreement": 0.99995}) == "99.9950 %"
