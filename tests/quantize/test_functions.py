"""The public quantizers: the hand-checkable vectors of BiT, and the definition of LSQ."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import earbit.quantize
from earbit.errors import ConfigError
from earbit.nn.leaves import MatMul
from earbit.nn.precision import W1A1
from earbit.quantize import (
    binarize_signed,
    binarize_unsigned,
    binarize_weight,
    quantize_signed,
    quantize_unsigned,
)
from earbit.quantize.codes import code_range
from earbit.quantize.leaves import QuantizedMatMul

X = [-0.9, -0.3, -0.1, 0.05, 0.2, 0.4, 0.6, 1.3]
G = [1.0, 2.0, -1.0, 0.5, 1.0, -2.0, 3.0, 1.0]
SETS = {"signed": quantize_signed, "unsigned": quantize_unsigned}


def run(function, bits, scale, gradient_factor=None):
    x = torch.tensor(X, requires_grad=True)
    a = torch.tensor(scale, requires_grad=True)
    y = function(x, a, bits, gradient_factor)
    y.backward(torch.tensor(G))
    return y.tolist(), x.grad.tolist(), a.grad.item()


def test_two_signed_bits_match_the_reference_vector():
    y, dx, da = run(quantize_signed, 2, 0.5)
    assert y == [-1, -0.5, 0, 0, 0, 0.5, 0.5, 0.5]
    assert dx == [1, 2, -1, 0.5, 1, -2, 0, 0]
    assert da == pytest.approx(0.689429, abs=1e-6)


def test_two_unsigned_bits_start_at_zero():
    # By hand: x / a = -3.6 -1.2 -0.4 0.2 0.8 1.6 2.4 5.2, codes 0 0 0 0 1 2 2 3.
    y, dx, da = run(quantize_unsigned, 2, 0.25)
    assert y == [0, 0, 0, 0, 0.25, 0.5, 0.5, 0.75]
    assert dx == [0, 0, 0, 0.5, 1, -2, 3, 0]
    # t = 0 0 0 -0.2 0.2 0.4 -0.4 3
    assert da == pytest.approx((-0.1 + 0.2 - 0.8 - 1.2 + 3) / math.sqrt(8 * 3), abs=1e-6)


def test_the_gradient_factor_of_the_scale_is_an_argument():
    _, _, default = run(quantize_signed, 2, 0.5)
    _, _, one = run(quantize_signed, 2, 0.5, 1.0)
    assert one == pytest.approx(default * math.sqrt(8))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("number_set", SETS)
def test_gradients_between_the_codes_are_those_of_the_definition(bits, number_set):
    # Where no code changes, the gradient of the scale is the derivative of a * round(x/a) plus the
    # straight-through part; LSQ's is the difference of both: code - x/a.
    torch.manual_seed(bits)
    low, high = code_range(bits, number_set)
    scale = torch.tensor(0.3, dtype=torch.double, requires_grad=True)
    x = (torch.rand(500, dtype=torch.double) * (high - low + 2) + low - 1) * 0.3
    x.requires_grad_()
    g = torch.randn(500, dtype=torch.double)
    SETS[number_set](x, scale, bits, 1.0).backward(g)
    q = (x / scale).detach()
    is_inside = (q >= low) & (q <= high)
    assert torch.equal(x.grad != 0, is_inside)
    if bits > 1:
        t = torch.where(is_inside, q.round() - q, q.clamp(low, high))
        assert scale.grad.item() == pytest.approx((g * t).sum().item())


@given(
    bits=st.sampled_from([1, 2, 4, 8]),
    number_set=st.sampled_from(sorted(SETS)),
    seed=st.integers(0, 1000),
    scale=st.floats(0.01, 3),
)
def test_outputs_are_the_nearest_of_at_most_two_to_the_bits_values(bits, number_set, seed, scale):
    x = torch.randn(400, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    y = SETS[number_set](x, torch.tensor(scale, dtype=torch.double), bits)
    low, high = code_range(bits, number_set)
    allowed = torch.arange(low, high + 1, 2 if low == -1 else 1).double() * scale
    assert len(y.unique()) <= 2**bits
    nearest = (x[:, None] - allowed).abs().amin(1)
    assert torch.allclose((y - x).abs(), nearest)


def test_one_bit_is_the_binarizer():
    x, scale = torch.tensor(X), torch.tensor(0.3)
    assert torch.equal(quantize_signed(x, scale, 1), binarize_signed(x, scale))
    assert torch.equal(quantize_unsigned(x, scale, 1), binarize_unsigned(x, scale))


def test_a_scale_for_every_row_gets_its_own_gradient():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(3, 50, generator=random, dtype=torch.double)
    scales = torch.tensor([[0.2], [0.4], [0.6]], dtype=torch.double, requires_grad=True)
    (quantize_signed(x, scales, 4) * x).sum().backward()
    for row, scale, grad in zip(x, scales, scales.grad, strict=True):
        alone = scale[0].detach().requires_grad_()
        (quantize_signed(row, alone, 4) * row).sum().backward()
        assert grad.item() == pytest.approx(alone.grad.item(), rel=1e-9)


def run_one_bit(function, scale):
    x = torch.tensor(X, requires_grad=True)
    a = torch.tensor(scale, requires_grad=True)
    y = function(x, a)
    y.backward(torch.tensor(G))
    return y.tolist(), x.grad.tolist(), a.grad.item()


def test_signed_values_and_gradients_match_the_reference_vector():
    y, dx, da = run_one_bit(binarize_signed, 0.5)
    assert y == [-0.5, -0.5, -0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert dx == [0, 2, -1, 0.5, 1, -2, 0, 0]
    assert da == pytest.approx(1.5 / math.sqrt(8), abs=1e-6)


def test_unsigned_values_and_gradients_match_the_reference_vector():
    y, dx, da = run_one_bit(binarize_unsigned, 0.5)
    assert y == [0, 0, 0, 0, 0, 0.5, 0.5, 0.5]
    assert dx == [0, 0, 0, 0.5, 1, -2, 0, 0]
    assert da == pytest.approx(3.15 / math.sqrt(8), abs=1e-6)


def test_zero_belongs_to_plus_and_half_the_scale_belongs_to_zero():
    a = torch.tensor(0.5)
    assert binarize_signed(torch.tensor([0.0, -0.0]), a).tolist() == [0.5, 0.5]
    assert binarize_unsigned(torch.tensor([0.25, 0.2500001]), a).tolist() == [0.0, 0.5]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("function", [quantize_signed, quantize_unsigned])
def test_no_bits_hide_what_is_not_finite(function, bits, dtype):
    x = torch.tensor([1.0, math.nan, -1.0, math.inf, -math.inf], dtype=dtype)
    y = function(x, torch.tensor(0.5, dtype=dtype), bits)
    assert y.isfinite().tolist() == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("bits", "number_set", "inside", "outside"),
    [
        (1, "signed", [-0.5, 0.5], [-0.5001, 0.5001]),
        (1, "unsigned", [0.0, 0.5], [-0.0001, 0.5001]),
        (2, "signed", [-1.0, 0.5], [-1.0001, 0.5001]),
        (2, "unsigned", [0.0, 1.5], [-0.0001, 1.5001]),
    ],
)
def test_the_ends_of_a_set_belong_to_it_and_their_gradient_goes_through(
    bits, number_set, inside, outside
):
    x = torch.tensor(inside + outside, requires_grad=True)
    SETS[number_set](x, torch.tensor(0.5), bits).sum().backward()
    assert x.grad.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("function", [binarize_signed, binarize_unsigned])
def test_the_gradient_of_a_shift_is_that_of_the_numbers_that_it_moves(function):
    torch.manual_seed(0)
    x = torch.randn(5, 3, dtype=torch.double, requires_grad=True)
    shift = torch.tensor([0.2, -0.4, 0.0], dtype=torch.double, requires_grad=True)
    scale = torch.tensor(0.7, dtype=torch.double)
    (function(x, scale, shift) * torch.randn(5, 3, dtype=torch.double)).sum().backward()
    assert torch.allclose(shift.grad, x.grad.sum(0))
    assert (x.grad == 0).any()
    assert (shift.grad != 0).all()


def test_a_shift_may_be_a_number():
    x, scale = torch.tensor([-0.3, -0.2, 0.2]), torch.tensor(0.5)
    assert binarize_signed(x, scale, 0.25).tolist() == [-0.5, 0.5, 0.5]
    assert binarize_unsigned(x, scale, 0.25).tolist() == [0.0, 0.0, 0.5]


def test_functions_and_leaves_share_one_autograd_function():
    x = torch.randn(4, 4, requires_grad=True)
    product = QuantizedMatMul(MatMul(), W1A1)(x, x)
    of_leaf = product.grad_fn.next_functions[0][0].next_functions[0][0]
    for function in (binarize_signed, binarize_unsigned):
        assert type(function(x, torch.tensor(0.5)).grad_fn) is type(of_leaf)
    for function in (quantize_signed, quantize_unsigned):
        assert type(function(x, torch.tensor(0.5), 4).grad_fn) is type(of_leaf)
    assert type(binarize_weight(x).grad_fn) is type(of_leaf)


def test_the_package_names_its_functions_and_nothing_else():
    assert set(earbit.quantize.__all__) <= set(dir(earbit.quantize))
    for name in earbit.quantize.__all__:
        assert getattr(earbit.quantize, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = earbit.quantize.nonsense


@pytest.mark.parametrize("bits", [-1, 0, 9, 33])
@pytest.mark.parametrize("quantize", [quantize_signed, quantize_unsigned])
def test_bits_beyond_1_to_8_are_refused(quantize, bits):
    with pytest.raises(ConfigError, match=f"bits={bits}; allowed: 1 <= bits < 9"):
        quantize(torch.randn(3), torch.tensor(0.5), bits)


def test_a_granularity_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="granularity='chanel'"):
        binarize_weight(torch.randn(3, 4), "chanel")


def test_a_scale_that_changes_before_the_backward_pass_is_refused_by_pytorch():
    x, scale = torch.randn(5, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    y = binarize_signed(x, scale)
    with torch.no_grad():
        scale.mul_(10)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
