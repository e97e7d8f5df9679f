"""Float ops, judged by PyTorch and SciPy in double precision."""

import numpy as np
import pytest
import scipy.special
import torch
from packed_reference import PLAIN, float_rows, run_one
from torch.nn import functional

from earbit import _core


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def torch_conv(x, weight, bias, ints):
    """Weight (outputs, taps, channels of a group); result in float64."""
    frames = functional.pad(
        torch.from_numpy(x.T).double()[None], (ints["pad_left"], ints["pad_right"])
    )
    kernels = torch.from_numpy(weight.transpose(0, 2, 1).copy()).double()
    offset = None if bias is None else torch.from_numpy(bias).double()
    y = functional.conv1d(frames, kernels, offset, stride=ints["stride"], groups=ints["groups"])
    return y[0].T.numpy()


CONVS = [
    # rows, channels, outputs, kernel, stride, pad_left, pad_right, groups
    (1, 1, 1, 1, 1, 0, 0, 1),
    (29, 5, 7, 1, 1, 0, 0, 1),
    (7, 33, 17, 1, 1, 0, 0, 1),
    (50, 3, 16, 10, 5, 0, 0, 1),
    (41, 64, 96, 3, 2, 0, 0, 1),
    (13, 1, 512, 10, 5, 0, 0, 1),
    (37, 12, 24, 5, 1, 2, 2, 4),
    (20, 32, 32, 8, 1, 4, 3, 2),
    (3, 6, 6, 8, 1, 4, 3, 6),
    (6, 400, 19, 2, 2, 1, 0, 1),
    (150, 2, 3, 4, 7, 3, 0, 1),
]


@pytest.mark.parametrize("has_bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("shape", CONVS, ids=lambda s: "x".join(map(str, s)))
def test_convolution_equals_torch(shape, has_bias):
    n_rows, n_in, n_out, *rest = shape
    ints = dict(zip(("kernel", "stride", "pad_left", "pad_right", "groups"), rest, strict=True))
    x = normal(1, n_rows, n_in)
    weight = normal(2, n_out, ints["kernel"], n_in // ints["groups"])
    bias = normal(3, n_out) if has_bias else None
    tensors = {"weight": weight.reshape(n_out, -1)} | ({"bias": bias} if has_bias else {})
    y = run_one("conv_f32", x, ints=ints, tensors=tensors)
    expected = torch_conv(x, weight, bias, ints)
    n_terms = weight[0].size
    assert y.shape == expected.shape
    assert np.abs(y - expected).max() <= 2e-6 * (1 + n_terms)


@pytest.mark.parametrize("shape", [(2, 3), (67, 65), (300, 16)])
@pytest.mark.parametrize("centre", [0.0, 1000.0])
def test_group_norm_equals_torch_also_far_from_zero(shape, centre):
    x = normal(4, *shape) + np.float32(centre)
    weight, bias = normal(5, shape[1]), normal(6, shape[1])
    y = run_one("group_norm", x, floats={"eps": 1e-5}, tensors={"weight": weight, "bias": bias})
    expected = functional.group_norm(
        torch.from_numpy(x.T).double()[None],
        shape[1],
        torch.from_numpy(weight).double(),
        torch.from_numpy(bias).double(),
        1e-5,
    )[0].T.numpy()
    # Beside 1000, float32 itself is 6e-5 away; gains reach 3.
    tolerance = 1e-5 if centre == 0 else 1e-3
    assert np.abs(y - expected).max() <= tolerance


def test_group_norm_of_one_frame_is_the_bias():
    x, weight, bias = normal(4, 1, 5), normal(5, 5), normal(6, 5)
    y = run_one("group_norm", x, floats={"eps": 1e-5}, tensors={"weight": weight, "bias": bias})
    assert np.allclose(y, bias, rtol=0, atol=1e-4)


def test_layer_norm_of_two_is_that_of_their_sum():
    x = normal(10, 65, 100)
    weight, bias = normal(11, 100), normal(12, 100)
    program = _core.Program()
    rows = float_rows(program, 100)
    positive = program.add("relu", [rows], {}, {}, {})
    tensors = {"weight": weight, "bias": bias}
    value = program.add("layer_norm", [positive, rows], {}, {"eps": 1e-5}, tensors)
    (y,) = program.run(np.ascontiguousarray(x).ravel(), [value], 2)
    both = np.maximum(x, 0) + x
    assert np.array_equal(y, run_one("layer_norm", both, floats={"eps": 1e-5}, tensors=tensors))


def test_layer_norm_of_two_refuses_other_columns():
    program = _core.Program()
    wide, narrow = float_rows(program, 4), float_rows(program, 3)
    with pytest.raises(ValueError, match="layer_norm of 4 and 3 columns"):
        program.add("layer_norm", [wide, narrow], {}, {"eps": 1e-5}, {})


@pytest.mark.parametrize("shape", [(1, 2), (3, 1), (5, 7), (64, 144), (65, 768)])
@pytest.mark.parametrize("centre", [0.0, 100.0])
def test_layer_norm_equals_torch(shape, centre):
    x = normal(7, *shape) + np.float32(centre)
    weight, bias = normal(8, shape[1]), normal(9, shape[1])
    y = run_one("layer_norm", x, floats={"eps": 1e-5}, tensors={"weight": weight, "bias": bias})
    expected = functional.layer_norm(
        torch.from_numpy(x).double(),
        shape[1:],
        torch.from_numpy(weight).double(),
        torch.from_numpy(bias).double(),
        1e-5,
    ).numpy()
    tolerance = 1e-5 if centre == 0 else 1e-4
    assert np.abs(y - expected).max() <= tolerance


def test_gelu_is_the_erf_form_within_two_millionths():
    x = np.linspace(-12, 12, 200_003, dtype=np.float32)[:, None]
    exact = x.astype(float)
    expected = exact * 0.5 * (1 + scipy.special.erf(exact / np.sqrt(2)))
    error = np.abs(run_one("gelu", x) - expected)
    assert (error <= 2e-6 * np.maximum(1, np.abs(expected))).all()


def test_gelu_of_large_numbers_is_the_number_or_zero():
    x = np.array([[-3e38, -1e6, -40.0, 0.0, 1e-40, 40.0, 1e6, 3e38]], np.float32)
    y = run_one("gelu", x)
    assert np.array_equal(y[0, 4:], x[0, 4:] * np.float32([0.5, 1, 1, 1]))
    assert np.array_equal(y[0, :4], np.zeros(4, np.float32))


def test_relu_and_add_equal_numpy_exactly():
    x = normal(10, 123, 37)
    assert np.array_equal(run_one("relu", x), np.maximum(x, 0))
    program = _core.Program()
    a = float_rows(program, 37)
    b = program.add("relu", [a], {}, {}, {})
    sums = [program.add("add", pair, {}, {}, {}) for pair in ([a, b], [b, b])]
    first, second = program.run(x.ravel(), sums, 1)
    assert np.array_equal(first, x + np.maximum(x, 0))
    assert np.array_equal(second, 2 * np.maximum(x, 0))


def softmax(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


@pytest.mark.parametrize("radius", [-1, 0, 1, 16, 500])
@pytest.mark.parametrize(("n_rows", "n_heads", "d"), [(1, 1, 1), (50, 3, 5), (131, 2, 64)])
def test_float_attention_equals_a_masked_softmax(n_rows, n_heads, d, radius):
    x = 2 * normal(11, n_rows, n_heads * d)
    program = _core.Program()
    rows = float_rows(program, n_heads * d)
    width = n_heads * d
    weights = [normal(12 + i, width, width) / np.float32(width**0.5) for i in range(3)]
    q, k, v = (program.add("conv_f32", [rows], PLAIN, {}, {"weight": w}) for w in weights)
    ints, floats = {"heads": n_heads, "radius": radius}, {"score_scale": d**-0.5}
    attended = program.add("attention_f32", [q, k, v], ints, floats, {})
    y, *operands = program.run(x.ravel(), [attended, q, k, v], 1)
    heads = [o.astype(float).reshape(n_rows, n_heads, d).transpose(1, 0, 2) for o in operands]
    scores = heads[0] @ heads[1].transpose(0, 2, 1) * d**-0.5
    distance = np.abs(np.subtract.outer(np.arange(n_rows), np.arange(n_rows)))
    if radius >= 0:
        scores[:, distance > radius] = -np.inf
    expected = (softmax(scores) @ heads[2]).transpose(1, 0, 2).reshape(n_rows, -1)
    assert np.abs(y - expected).max() <= 1e-5


def test_an_infinite_value_stays_in_the_windows_that_see_it():
    x = normal(13, 131, 12)
    x[60] = 1e20
    program = _core.Program()
    rows = float_rows(program, 12)
    large = program.add("conv_f32", [rows], PLAIN, {}, {"weight": 1e20 * np.eye(12, dtype="f")})
    ints, floats = {"heads": 3, "radius": 9}, {"score_scale": 1e-30}
    y = program.add("attention_f32", [rows, rows, large], ints, floats, {})
    infinite, value = program.run(x.ravel(), [y, large], 1)
    assert np.isinf(value[60]).all()
    finite = program.run(np.where(x == 1e20, np.float32(0), x).ravel(), [y], 1)[0]
    sees = np.abs(np.arange(131) - 60) <= 9
    assert not np.isfinite(infinite[sees]).any()
    assert np.array_equal(infinite[~sees], finite[~sees])
