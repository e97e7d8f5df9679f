"""Depthwise convolutions: float by PyTorch in double precision, bits by numpy, equal, not close."""

import numpy as np
import pytest
import torch
from packed_reference import bit_rows, float_rows, packed, run_one, values, waveform_of, windows
from torch.nn import functional

from earbit import _core

NAMES = ("kernel", "stride", "pad_left", "pad_right")
SHAPES = [
    # rows, channels, kernel, stride, pad_left, pad_right
    (1, 1, 1, 1, 0, 0),
    (1, 5, 31, 1, 15, 15),
    (20, 7, 31, 1, 15, 15),
    (63, 8, 5, 2, 0, 4),
    (64, 64, 5, 2, 0, 4),
    (65, 65, 31, 1, 15, 15),
    (200, 130, 64, 1, 31, 32),
    (129, 17, 65, 3, 64, 0),
    (100, 24, 63, 1, 31, 31),
    (300, 33, 130, 1, 65, 64),
    (66, 16, 3, 70, 0, 2),
]


def random_bits(seed, *shape):
    return np.random.default_rng(seed).random(shape) < 0.5


@pytest.mark.parametrize("has_bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_float_depthwise_equals_torch(shape, has_bias):
    n_rows, n_channels, *rest = shape
    ints = dict(zip(NAMES, rest, strict=True))
    random = np.random.default_rng(1)
    x, weight, bias = (
        random.standard_normal(s).astype(np.float32)
        for s in ((n_rows, n_channels), (n_channels, ints["kernel"]), n_channels)
    )
    tensors = {"weight": weight} | ({"bias": bias} if has_bias else {})
    y = run_one("depthwise_f32", x, ints=ints, tensors=tensors, threads=2)
    frames = torch.from_numpy(np.pad(x.T, ((0, 0), (ints["pad_left"], ints["pad_right"]))))
    expected = functional.conv1d(
        frames.double()[None],
        torch.from_numpy(weight).double()[:, None],
        torch.from_numpy(bias).double() if has_bias else None,
        stride=ints["stride"],
        groups=n_channels,
    )[0].T.numpy()
    assert y.shape == expected.shape
    assert np.abs(y - expected).max() <= 2e-6 * (1 + ints["kernel"])


def depthwise(shape, is_unsigned):
    """Input bits, packed weights and all integer products by numpy."""
    n_rows, n_channels, *rest = shape
    ints = dict(zip(NAMES, rest, strict=True))
    bits = random_bits(2, n_rows, n_channels)
    weight = random_bits(3, n_channels, ints["kernel"])
    seen = windows(bits, *rest)
    dots = np.einsum("tkc,ck->tc", values(seen, is_unsigned), values(weight, False))
    return bits, packed(weight), dots, ints | {"unsigned": int(is_unsigned)}


@pytest.mark.parametrize("is_unsigned", [False, True], ids=["signed", "unsigned"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scaled_products_of_every_channel_equal_numpy_to_the_last_bit(shape, is_unsigned):
    bits, weight, dots, ints = depthwise(shape, is_unsigned)
    random = np.random.default_rng(4)
    scale = random.random(shape[1]).astype(np.float32)
    bias = random.standard_normal(shape[1]).astype(np.float32)
    program = _core.Program()
    tensors = {"weight": weight, "scale": scale, "bias": bias}
    y = program.add("depthwise_b1", [bit_rows(program, shape[1])], ints, {}, tensors)
    (result,) = program.run(waveform_of(bits), [y], 2)
    assert np.array_equal(result, scale * dots.astype(np.float32) + bias)


@pytest.mark.parametrize("is_unsigned", [False, True], ids=["signed", "unsigned"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_thresholded_products_of_every_channel_are_the_bits_that_numpy_says(shape, is_unsigned):
    bits, weight, dots, ints = depthwise(shape, is_unsigned)
    threshold = np.random.default_rng(5).integers(-3, 4, shape[1]).astype(np.int32)
    threshold[::5], threshold[3::5] = -ints["kernel"], ints["kernel"] + 1
    program = _core.Program()
    tensors = {"weight": weight, "threshold": threshold}
    y = program.add("depthwise_b1", [bit_rows(program, shape[1])], ints, {}, tensors)
    (words,) = program.run(waveform_of(bits), [y], 2)
    assert np.array_equal(words[0], packed(dots >= threshold)), "bits or the zeros beyond them"


def test_three_taps_by_hand_padding_is_the_lower_value():
    # One channel, frames 1 0 1, weights + - +: padding counts as 0, or as -1.
    bits = np.array([[1], [0], [1]], bool)
    tensors = {
        "weight": packed(np.array([[1, 0, 1]], bool)),
        "scale": np.ones(1, np.float32),
        "bias": np.zeros(1, np.float32),
    }
    program = _core.Program()
    ints = {"kernel": 3, "stride": 1, "pad_left": 1, "pad_right": 1}
    both = [
        program.add("depthwise_b1", [bit_rows(program, 1)], ints | {"unsigned": u}, {}, tensors)
        for u in (0, 1)
    ]
    signed, unsigned = program.run(waveform_of(bits), both, 1)
    assert signed[:, 0].tolist() == [-3.0, 3.0, -3.0]
    assert unsigned[:, 0].tolist() == [-1.0, 2.0, -1.0]


@pytest.mark.parametrize(
    ("ints", "weight", "n_groups", "message"),
    [
        ({"kernel": 3}, np.full((4, 1), 8, np.uint64), 1, "beyond its 3 taps"),
        ({"kernel": 3}, np.zeros((4, 1), np.uint64), 2, "2 groups"),
        ({"kernel": 65}, np.zeros((4, 1), np.uint64), 1, r"'weight' is uint64 \(4, 1\)"),
        ({"kernel": 3, "pad_left": 3}, np.zeros((4, 1), np.uint64), 1, "pad_left=3"),
        ({"kernel": 2**20, "groups": 1}, np.zeros((4, 2**14), np.uint64), 1, "no 'groups'"),
    ],
)
def test_what_is_no_depthwise_convolution_is_refused_by_name(ints, weight, n_groups, message):
    program = _core.Program()
    rows = bit_rows(program, 4, n_groups)
    all_ints = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "unsigned": 0} | ints
    tensors = {"weight": weight, "threshold": np.zeros(4, np.int32)}
    with pytest.raises(ValueError, match=message):
        program.add("depthwise_b1", [rows], all_ints, {}, tensors)


def test_frames_fewer_than_a_window_are_refused_with_both_numbers():
    program = _core.Program()
    ints = {"kernel": 5, "stride": 1, "pad_left": 0, "pad_right": 0}
    tensors = {"weight": np.ones((2, 5), np.float32)}
    y = program.add("depthwise_f32", [float_rows(program, 2)], ints, {}, tensors)
    with pytest.raises(ValueError, match="4 frames are too few for a window of 5"):
        program.run(np.zeros(8, np.float32), [y], 1)
