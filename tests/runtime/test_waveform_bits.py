"""The first layer in one pass, judged by PyTorch in double precision."""

import numpy as np
import pytest
import torch
from packed_reference import packed, unpacked
from torch.nn import functional

from earbit import _core

CASES = [
    # samples, outputs, kernel, stride
    (15, 1, 10, 5),
    (400, 70, 10, 5),
    (2003, 512, 10, 5),
    (30_011, 64, 10, 5),
    (777, 65, 1, 1),
    (901, 33, 32, 3),
]


def random_layer(n_out, kernel, seed=0):
    random = np.random.default_rng(seed)
    return {
        "weight": random.standard_normal((n_out, kernel)).astype(np.float32),
        "norm_weight": random.standard_normal(n_out).astype(np.float32),
        "norm_bias": random.standard_normal(n_out).astype(np.float32),
        "threshold": random.standard_normal(n_out).astype(np.float32),
    }


def run(wave, layer, kernel, stride, threads=1):
    program = _core.Program()
    ints = {"kernel": kernel, "stride": stride}
    bits = program.add("waveform_bits", [0], ints, {"eps": 1e-5}, layer)
    (words,) = program.run(wave, [bits], threads)
    return words


def by_torch(wave, layer, stride):
    """How far every normed value (frames, outputs) is above its threshold."""
    weight, gain, bias = (
        torch.from_numpy(layer[name]).double() for name in ("weight", "norm_weight", "norm_bias")
    )
    y = functional.conv1d(
        torch.from_numpy(wave).double()[None, None], weight[:, None], stride=stride
    )
    normed = functional.group_norm(y, len(weight), gain, bias, float(np.float32(1e-5)))
    return normed[0].T.numpy() - layer["threshold"]


@pytest.mark.parametrize("offset", [0.0, 3.0], ids=["", "offset"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: "x".join(map(str, c)))
def test_bits_are_where_the_normed_convolution_reaches_its_threshold(case, offset):
    n_samples, n_out, kernel, stride = case
    wave = 0.1 * np.random.default_rng(1).standard_normal(n_samples).astype(np.float32)
    wave += np.float32(offset)
    layer = random_layer(n_out, kernel)
    above = by_torch(wave, layer, stride)
    words = run(wave, layer, kernel, stride)
    assert words.shape == (1, len(above), -(-n_out // 64))
    bits = unpacked(words[0], n_out)
    is_clear = np.abs(above) > 1e-3
    assert is_clear.mean() > 0.9
    assert np.array_equal(bits[is_clear], above[is_clear] >= 0)
    assert np.array_equal(packed(bits)[None], words), "zeros beyond the row"


def test_silence_is_the_bias_of_the_norm():
    layer = random_layer(70, 10)
    layer["norm_bias"][:3] = layer["threshold"][:3]
    bits = unpacked(run(np.zeros(4000, np.float32), layer, 10, 5)[0], 70)
    assert np.array_equal(
        bits, np.broadcast_to(layer["norm_bias"] >= layer["threshold"], bits.shape)
    )


def test_thresholds_beyond_all_numbers_give_one_bit_everywhere():
    layer = random_layer(4, 10)
    layer["threshold"][:] = [-np.inf, np.inf, -3e38, 3e38]
    wave = np.random.default_rng(2).standard_normal(3000).astype(np.float32)
    bits = unpacked(run(wave, layer, 10, 5)[0], 4)
    assert np.array_equal(bits, np.broadcast_to([True, False, True, False], bits.shape))


def test_threads_change_no_bit():
    wave = np.random.default_rng(3).standard_normal(60_000).astype(np.float32)
    layer = random_layer(96, 10)
    one = run(wave, layer, 10, 5)
    assert all(np.array_equal(run(wave, layer, 10, 5, threads), one) for threads in (2, 5))


def test_what_does_not_fit_is_refused_by_name():
    layer = random_layer(8, 10)
    for changed, message in [
        ({"kernel": 33}, "kernel=33; allowed are 1 to 32"),
        ({"stride": 0}, "stride=0"),
        ({"kernel": 9}, "weight"),
    ]:
        with pytest.raises(ValueError, match=message):
            _core.Program().add(
                "waveform_bits", [0], {"kernel": 10, "stride": 5} | changed, {"eps": 1e-5}, layer
            )
    with pytest.raises(ValueError, match="eps must be above 0"):
        _core.Program().add("waveform_bits", [0], {"kernel": 10, "stride": 5}, {"eps": 0.0}, layer)
    with pytest.raises(ValueError, match="9 frames are too few"):
        run(np.zeros(9, np.float32), layer, 10, 5)
