"""Signal, noise and likeness, against arithmetic by hand and NumPy."""

import math

import numpy as np
import pytest
import torch

from earbit.errors import DataError
from earbit.quantize.propagation.error_sums import ErrorSums


def compared(x, y, **options) -> ErrorSums:
    sums = ErrorSums("module", **options)
    sums.add(torch.as_tensor(x), torch.as_tensor(y))
    return sums


def test_ratios_by_hand():
    sums = compared([3.0, 4.0], [3.0, 3.0])
    # Signal 25, noise 1.
    assert sums.noise_to_signal == pytest.approx(0.04)
    assert sums.sqnr_db == pytest.approx(13.9794, abs=1e-4)


@pytest.mark.parametrize(
    ("x", "y", "sqnr_db", "correlation"),
    [
        ([1.0, 2.0], [1.0, 2.0], math.inf, 1.0),
        ([0.0, 0.0], [0.0, 0.0], math.inf, 1.0),
        ([0.0, 0.0], [1.0, 0.0], -math.inf, 0.0),
        ([1.0, 0.0], [0.0, 0.0], 0.0, 0.0),
    ],
)
def test_nothing_and_silence_have_figures_too(x, y, sqnr_db, correlation):
    sums = compared([[one] for one in x], [[one] for one in y], is_centred=True)
    assert sums.sqnr_db == sqnr_db
    assert sums.correlation == correlation


def test_clips_that_are_added_count_like_one_long_clip():
    torch.manual_seed(0)
    x, y = torch.randn(2, 30, 8)
    whole, pieces = compared(x, y, is_centred=True), ErrorSums("module", is_centred=True)
    for rows in (slice(0, 7), slice(7, 30)):
        pieces.add(x[None, rows], y[None, rows])
    assert pieces.sqnr_db == pytest.approx(whole.sqnr_db, rel=1e-12)
    assert pieces.log_error == pytest.approx(whole.log_error, rel=1e-12)


def test_only_what_counts_is_compared():
    sums = ErrorSums("module")
    sums.add(torch.tensor([3.0, 9.0]), torch.tensor([4.0, -9.0]), torch.tensor([True, False]))
    assert (sums.signal, sums.noise, sums.n_elements) == (9.0, 1.0, 1)


def test_the_correlation_is_that_of_numpy_whatever_the_channels_offsets_and_the_gain():
    random = np.random.default_rng(0)
    x = random.standard_normal((200, 4))
    y = 3 * (x + 0.5 * random.standard_normal((200, 4)))
    # Each channel has a mean of its own, which NumPy is given none of.
    flat = [(values - values.mean(0)).ravel() for values in (x, y)]
    expected = float(np.corrcoef(*flat)[0, 1])
    offset = np.array([5.0, -3.0, 0.0, 100.0])
    sums = compared(x, y + offset, is_centred=True)
    assert sums.correlation == pytest.approx(expected, rel=1e-9)
    assert sums.log_error == pytest.approx(-2 * math.log(expected), rel=1e-9)


def test_log_errors_of_independent_turns_add_even_when_they_are_large():
    """Each step mixes unit noise into a signal that is brought back to its length."""
    random = np.random.default_rng(1)
    x = random.standard_normal((400_000, 1))
    first, second = (random.standard_normal(x.shape) for _ in range(2))

    def turned(signal, noise, share):
        return math.sqrt(1 - share) * signal + math.sqrt(share) * noise

    once, twice = turned(x, first, 0.4), turned(turned(x, first, 0.4), second, 0.3)
    alone = compared(x, turned(x, second, 0.3), is_centred=True).log_error
    together = compared(x, twice, is_centred=True).log_error
    assert together == pytest.approx(compared(x, once, is_centred=True).log_error + alone, rel=0.01)
    assert together == pytest.approx(-math.log(0.6 * 0.7), rel=0.01)


def test_small_log_errors_are_the_ratio_of_noise_to_signal():
    torch.manual_seed(2)
    x = torch.randn(10_000, 8, dtype=torch.double)
    sums = compared(x, x + 0.01 * torch.randn_like(x), is_centred=True)
    assert sums.log_error == pytest.approx(1e-4, rel=0.05)


def test_the_opposite_has_no_finite_log_error():
    x = torch.randn(10, 3)
    assert compared(x, -x, is_centred=True).log_error == math.inf


def test_constant_noise_does_not_vary():
    x = torch.randn(50, 2, dtype=torch.double)
    y = x + torch.tensor([2.0, -1.0])
    assert compared(x, y, is_centred=True).varying_noise == pytest.approx(0, abs=1e-12)
    y[0, 0] += 10
    # One of 50 rows is off by 10: its variance is 100 (1/50 - 1/50^2), over two channels.
    expected = 100 * (1 / 50 - 1 / 2500) / 2
    assert compared(x, y, is_centred=True).varying_noise == pytest.approx(expected)


def test_a_module_with_values_that_are_not_finite_is_named():
    sums = ErrorSums("encoder.layers.3")
    with pytest.raises(DataError, match=r"'encoder\.layers\.3'"):
        sums.add(torch.tensor([1.0]), torch.tensor([math.nan]))
