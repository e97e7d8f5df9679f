"""Depthwise convolutions on codes: every integer by numpy, equal, not close."""

import itertools

import numpy as np
import pytest
from packed_reference import quantized_rows, windows
from test_code_ops import SETS, padding_code, stored, whole_codes
from test_depthwise import NAMES, SHAPES

from earbit import _core


def channels_alone(x, weight, ints, padding):
    """Sums of every channel by itself: x (rows, channels), weight (channels, taps)."""
    seen = windows(x - padding, *(ints[name] for name in NAMES)) + padding
    return np.einsum("tkc,ck->tc", seen, weight)


def depthwise(shape, input_set, weight_bits, threads=2):
    """What the op makes, and what it has to be."""
    n_rows, n_channels, *rest = shape
    ints = dict(zip(NAMES, rest, strict=True))
    random = np.random.default_rng(7)
    x = whole_codes(random, *input_set, (n_rows, n_channels))
    weight = whole_codes(random, weight_bits, "signed", (n_channels, ints["kernel"]))
    scale = random.random(n_channels).astype(np.float32)
    bias = random.standard_normal(n_channels).astype(np.float32)
    program = _core.Program()
    rows = quantized_rows(program, n_channels, *input_set)
    tensors = {"weight": stored(weight, weight_bits), "scale": scale, "bias": bias}
    value = program.add("depthwise_i8", [rows], {**ints, "weight_bits": weight_bits}, {}, tensors)
    wave = x if input_set != (1, "unsigned") else 2 * x - 1
    (y,) = program.run(wave.astype(np.float32).ravel(), [value], threads)
    dots = channels_alone(x, weight, ints, padding_code(*input_set))
    # float32 multiplies, rounds, adds, rounds: no fused step
    return y, scale * dots.astype(np.float32) + bias


@pytest.mark.parametrize("weight_bits", [1, 2, 4, 8])
@pytest.mark.parametrize("input_set", SETS, ids=str)
def test_products_of_every_channel_equal_numpy_to_the_last_bit(input_set, weight_bits):
    for shape in SHAPES:
        y, expected = depthwise(shape, input_set, weight_bits)
        assert np.array_equal(y, expected), shape


@pytest.mark.parametrize("bits", [3, 5, 6, 7])
def test_inputs_may_have_bits_that_weights_may_not(bits):
    for shape, number_set in itertools.product(SHAPES[2:4], ("signed", "unsigned")):
        y, expected = depthwise(shape, (bits, number_set), 4)
        assert np.array_equal(y, expected), (shape, number_set)


def test_no_number_of_threads_changes_a_bit():
    one = depthwise(SHAPES[6], (8, "signed"), 8, threads=1)[0]
    for threads in (2, 3, 16):
        y = depthwise(SHAPES[6], (8, "signed"), 8, threads=threads)[0]
        assert np.array_equal(y, one)


def three_taps(bits, number_set, wave):
    """Weights 1, -2 and 1 of one channel, a frame of padding at each end."""
    program = _core.Program()
    rows = quantized_rows(program, 1, bits, number_set)
    # 3, 0 and 3 above the lowest of 2 bits, the first in the lowest bits
    tensors = {
        "weight": np.array([[0b11_00_11]], np.uint8),
        "scale": np.ones(1, np.float32),
        "bias": np.zeros(1, np.float32),
    }
    ints = {"kernel": 3, "stride": 1, "pad_left": 1, "pad_right": 1, "weight_bits": 2}
    value = program.add("depthwise_i8", [rows], ints, {}, tensors)
    return program.run(np.array(wave, np.float32), [value], 1)[0][:, 0].tolist()


def test_three_taps_by_hand_padding_is_zero_or_minus_one_where_there_is_no_zero():
    assert three_taps(4, "signed", [1, 3, -2]) == [1.0, -7.0, 7.0]
    assert three_taps(4, "unsigned", [1, 3, 2]) == [1.0, -3.0, -1.0]
    assert three_taps(1, "unsigned", [1, -1, 1]) == [-2.0, 2.0, -2.0]
    assert three_taps(1, "signed", [1, -1, 1]) == [-4.0, 4.0, -4.0]


def one_channel(program, kernel, input_bits, weight_bits):
    rows = quantized_rows(program, 1, input_bits, "signed")
    ints = {"kernel": kernel, "stride": 1, "pad_left": 0, "pad_right": 0}
    weight = np.zeros((1, -(-kernel * weight_bits // 8)), np.uint8)
    one = np.ones(1, np.float32)
    tensors = {"weight": weight, "scale": one, "bias": one}
    ints |= {"weight_bits": weight_bits}
    return program.add("depthwise_i8", [rows], ints, {}, tensors)


def test_the_longest_window_is_exact_and_a_longer_one_is_refused_with_its_size():
    program = _core.Program()
    # All weights are -128, all inputs 127: the largest product that there is.
    value = one_channel(program, 65_793, 8, 8)
    (y,) = program.run(np.full(65_793, 300, np.float32), [value], 1)
    assert y.tolist() == [[np.float32(-128 * 127 * 65_793) + np.float32(1)]]
    with pytest.raises(ValueError, match=r"65794 elements.*32 bits.*8-bit weights.*65793"):
        one_channel(program, 65_794, 8, 8)
    one_channel(program, 65_794, 4, 8)


def test_frames_fewer_than_a_window_are_refused_with_both_numbers():
    program = _core.Program()
    value = one_channel(program, 5, 4, 4)
    with pytest.raises(ValueError, match="4 frames are too few for a window of 5"):
        program.run(np.zeros(4, np.float32), [value], 1)
