import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earbit.export.thresholds import (
    float_threshold,
    integer_threshold,
    signed_bits,
    unsigned_bits,
)

floats = st.floats(-10, 10, width=32)


@given(shift=floats, x=floats)
def test_a_signed_threshold_says_what_the_binarizer_says(shift, x):
    bits = signed_bits(np.array([shift], np.float32))
    threshold = float_threshold(bits, 1)
    value = np.array([x], np.float32)
    assert (value >= threshold) == bits(value)


@given(shift=floats, scale=st.floats(0.0009765625, 10, width=32), x=floats)
def test_an_unsigned_threshold_says_what_relu_and_binarizer_say(shift, scale, x):
    bits = unsigned_bits(np.array([shift], np.float32), np.float32(scale))
    threshold = float_threshold(bits, 1)
    for value in (np.float32(x), threshold[0], np.nextafter(threshold[0], np.float32(-np.inf))):
        value = np.array([value], np.float32)
        assert (value >= threshold) == bits(value)


def test_bits_that_never_change_have_infinite_thresholds():
    shift = np.array([5.0, -5.0], np.float32)
    always = unsigned_bits(shift, np.float32(1.0))
    assert float_threshold(always, 2)[0] == -np.inf
    assert float_threshold(lambda x: np.zeros(len(x), bool), 2).tolist() == [np.inf, np.inf]


@pytest.mark.parametrize("n_bits", [1, 7, 768])
def test_integer_thresholds_agree_with_every_product(n_bits):
    random = np.random.default_rng(n_bits)
    scale = random.uniform(0.001, 0.1, 9).astype(np.float32)
    bias = random.normal(size=9).astype(np.float32)
    bits = unsigned_bits(random.normal(size=9).astype(np.float32), np.float32(0.7))

    def of_product(dot):
        return scale * dot.astype(np.float32) + bias

    threshold = integer_threshold(bits, of_product, n_bits, 9)
    for dot in range(-n_bits, n_bits + 1):
        dots = np.full(9, dot)
        assert np.array_equal(dots >= threshold, bits(of_product(dots)))
