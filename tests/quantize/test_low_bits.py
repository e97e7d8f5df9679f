"""Quantizers of 2 to 8 bits: the hand-checkable vectors of BiT and LSQ, and their definition."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from earbit.quantize.binarize import binarize_signed, binarize_unsigned
from earbit.quantize.low_bits import code_range, codes, quantize_signed, quantize_unsigned
from earbit.quantize.scale_search import least_squares_scale

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
    (codes(x, scale, bits, number_set, 1.0) * scale.detach()).backward(g)
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
    x = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    scales = torch.tensor([[0.2], [0.4], [0.6]], requires_grad=True)
    (quantize_signed(x, scales, 4) * x).sum().backward()
    for row, scale, grad in zip(x, scales, scales.grad, strict=True):
        alone = scale[0].detach().requires_grad_()
        (quantize_signed(row, alone, 4) * row).sum().backward()
        assert grad.item() == pytest.approx(alone.grad.item(), rel=1e-5)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("number_set", SETS)
def test_the_scale_of_least_squares_beats_its_neighbours(bits, number_set):
    x = torch.randn(1, 4000, generator=torch.Generator().manual_seed(1))
    x = x if number_set == "signed" else x.relu()
    best = least_squares_scale(x, bits, number_set)[0]

    def error(scale):
        return (SETS[number_set](x, scale, bits) - x).square().mean().item()

    assert all(error(best) <= 1.001 * error(best * factor) for factor in (0.5, 0.8, 1.25, 2.0))
    if (bits, number_set) == (1, "signed"):  # mean|x| in closed form
        assert best.item() == pytest.approx(x.abs().mean().item(), rel=0.05)
