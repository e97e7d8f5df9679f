"""Judged by tables counted by hand and by scikit-learn's mutual information."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from earbit.errors import DataError
from earbit.units.quality import SILENCE, phones_at_rate, unit_quality


def frames_of(table):
    """Units and phones of frames whose joint counts are `table`: a row per phone."""
    units, phones = [], []
    for phone, row in enumerate(table):
        for unit, n_frames in enumerate(row):
            units += [unit] * n_frames
            phones += [f"p{phone}"] * n_frames
    return np.array(units), phones


@pytest.mark.parametrize(
    ("table", "phone_purity", "cluster_purity"),
    [
        # Largest of every column, then of every row, over all frames.
        ([[4, 1, 0], [1, 2, 2]], (4 + 2 + 2) / 10, (4 + 2) / 10),
        ([[3, 3, 0], [0, 0, 6]], 12 / 12, (3 + 6) / 12),
        ([[1, 1, 1], [1, 1, 1]], 3 / 6, 2 / 6),
    ],
)
def test_purities_of_small_tables_are_those_counted_by_hand(table, phone_purity, cluster_purity):
    units, phones = frames_of(table)
    quality = unit_quality(units, 3, phones)
    assert quality.n_frames == sum(map(sum, table))
    assert quality.phone_purity == pytest.approx(phone_purity)
    assert quality.cluster_purity == pytest.approx(cluster_purity)


def test_pnmi_of_a_table_is_the_one_worked_out_by_hand():
    # H(phone) = 1 bit; unit 1 leaves both phones equally likely, and half of the frames have it.
    units, phones = frames_of([[2, 2, 0], [0, 2, 2]])
    assert unit_quality(units, 3, phones).pnmi == pytest.approx(0.5)


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 8), st.sampled_from("abcd")), min_size=1))
def test_figures_agree_with_scikit_learn_and_stay_in_range(pairs):
    units, phones = np.array([unit for unit, _ in pairs]), [phone for _, phone in pairs]
    quality = unit_quality(units, 9, phones)
    phone_nats = entropy(np.unique(phones, return_counts=True)[1])
    expected = mutual_info_score(phones, units) / phone_nats if phone_nats > 0 else 0.0
    assert quality.pnmi == pytest.approx(expected, abs=1e-9)
    assert -1e-9 <= quality.pnmi <= 1 + 1e-9
    assert 0 < quality.phone_purity <= 1 + 1e-9
    assert 0 < quality.cluster_purity <= 1 + 1e-9


def test_units_that_name_the_phone_are_perfect_and_a_single_unit_says_nothing():
    phones = list("aabbbc")
    perfect = unit_quality(np.array([2, 2, 0, 0, 0, 1]), 3, phones)
    assert (perfect.phone_purity, perfect.cluster_purity) == pytest.approx((1, 1))
    assert perfect.pnmi == pytest.approx(1)
    mute = unit_quality(np.zeros(6, int), 3, phones)
    assert mute.phone_purity == pytest.approx(0.5)
    assert mute.pnmi == pytest.approx(0)


def test_names_of_units_and_phones_do_not_matter():
    units, phones = frames_of([[4, 1, 0], [1, 2, 2]])
    renamed = unit_quality(np.array([2, 0, 1])[units], 3, ["q" + p[::-1] for p in phones])
    original = unit_quality(units, 3, phones)
    for figure in ("entropy_bits", "phone_purity", "cluster_purity", "pnmi"):
        assert getattr(renamed, figure) == pytest.approx(getattr(original, figure))


def test_without_phones_there_are_entropy_and_dead_units_alone():
    quality = unit_quality(np.array([0, 0, 3, 3, 1, 1]), 7)
    assert quality.entropy_bits == pytest.approx(math.log2(3))
    assert quality.n_dead_units == 4
    assert (quality.phone_purity, quality.cluster_purity, quality.pnmi) == (None, None, None)


def test_units_used_alike_have_the_largest_entropy():
    assert unit_quality(np.arange(64) % 16, 16).entropy_bits == pytest.approx(4)


@pytest.mark.parametrize(("rate_hz", "first_centre_s"), [(100, 0.0125), (50, 0.0125), (100, 0.0)])
def test_frames_take_the_phone_at_the_middle_of_what_they_see(rate_hz, first_centre_s):
    alignment = [("a", 0.021, 0.03), ("b", 0.051, 0.02), ("c", 0.09, 9.0)]

    def phone_at(time_s):
        return next((p for p, start_s, d in alignment if start_s <= time_s < start_s + d), SILENCE)

    expected = [phone_at(first_centre_s + t / rate_hz) for t in range(12)]
    assert phones_at_rate(alignment, 12, rate_hz, first_centre_s) == expected


def test_nothing_aligned_is_silence_and_phones_beyond_the_end_are_cut():
    assert phones_at_rate([], 3, 100, 0.0125) == [SILENCE] * 3
    assert phones_at_rate([("a", 0.0, 9.0), ("b", 9.0, 1.0)], 3, 100, 0.0125) == ["a"] * 3


def test_the_order_of_an_alignment_without_overlaps_does_not_matter():
    alignment = [("a", 0.0, 0.1), ("b", 0.1, 0.1), ("c", 0.25, 0.1)]
    backwards = phones_at_rate(alignment[::-1], 40, 100, 0.0125)
    assert backwards == phones_at_rate(alignment, 40, 100, 0.0125)


@pytest.mark.parametrize("time_s", [(-1.0, 0.5), (0.0, -0.1), (math.nan, 1.0), (0.0, math.inf)])
def test_times_that_cannot_be_are_refused(time_s):
    with pytest.raises(DataError, match="start_s"):
        phones_at_rate([("a", *time_s)], 100, 100, 0.0125)


def test_units_out_of_range_and_phones_of_other_frames_are_refused():
    with pytest.raises(DataError, match="allowed: 0 to 1"):
        unit_quality(np.array([0, 2]), 2)
    with pytest.raises(DataError, match="1 phones for 2 units"):
        unit_quality(np.array([0, 1]), 2, ["a"])


def test_a_single_unit_in_use_has_zero_entropy_without_a_sign():
    assert str(unit_quality(np.zeros(3, int), 2).entropy_bits) == "0.0"
