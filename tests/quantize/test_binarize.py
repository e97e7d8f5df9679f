"""Judged by the hand-checkable vectors of the BiT reference (x, upstream gradient, expected)."""

import math

import pytest
import torch

from earbit.quantize.binarize import (
    binarize_signed,
    binarize_unsigned,
    binarize_weight,
    weight_bits,
)
from earbit.quantize.scale_search import bit_scale

X = [-0.9, -0.3, -0.1, 0.05, 0.2, 0.4, 0.6, 1.3]
G = [1.0, 2.0, -1.0, 0.5, 1.0, -2.0, 3.0, 1.0]


def run(function, scale):
    x = torch.tensor(X, requires_grad=True)
    a = torch.tensor(scale, requires_grad=True)
    y = function(x, a)
    y.backward(torch.tensor(G))
    return y.tolist(), x.grad.tolist(), a.grad.item()


def test_signed_values_and_gradients_match_the_reference_vector():
    y, dx, da = run(binarize_signed, 0.5)
    assert y == [-0.5, -0.5, -0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert dx == [0, 2, -1, 0.5, 1, -2, 0, 0]
    assert da == pytest.approx(1.5 / math.sqrt(8), abs=1e-6)


def test_unsigned_values_and_gradients_match_the_reference_vector():
    y, dx, da = run(binarize_unsigned, 0.5)
    assert y == [0, 0, 0, 0, 0, 0.5, 0.5, 0.5]
    assert dx == [0, 0, 0, 0.5, 1, -2, 0, 0]
    assert da == pytest.approx(3.15 / math.sqrt(8), abs=1e-6)


def test_zero_belongs_to_plus_and_half_the_scale_belongs_to_zero():
    a = torch.tensor(0.5)
    assert binarize_signed(torch.tensor([0.0, -0.0]), a).tolist() == [0.5, 0.5]
    assert binarize_unsigned(torch.tensor([0.25, 0.2500001]), a).tolist() == [0.0, 0.5]


def test_the_gradient_factor_of_the_scale_is_an_argument():
    x, a = torch.tensor(X), torch.tensor(0.5, requires_grad=True)
    binarize_signed(x, a, gradient_factor=1.0).backward(torch.tensor(G))
    assert a.grad.item() == pytest.approx(1.5)


def test_first_scales_follow_bit():
    x = torch.tensor(X)
    assert bit_scale(x, 1, "signed").item() == pytest.approx(0.9625)
    assert bit_scale(x, 2, "signed").item() == pytest.approx(0.9625)
    assert bit_scale(x, 1, "unsigned").item() == pytest.approx(1.925)
    assert bit_scale(x, 2, "unsigned").item() == pytest.approx(1.111399)


@pytest.mark.parametrize(
    ("granularity", "scales"), [("tensor", [0.266667, 0.266667]), ("channel", [0.2, 0.333333])]
)
def test_weights_are_centred_and_scaled_as_the_reference_vector(granularity, scales):
    w = torch.tensor([[0.3, -0.1, 0.2], [0.0, -0.4, 0.6]], requires_grad=True)
    y = binarize_weight(w, granularity)
    signs = torch.tensor([[1.0, -1, 1], [-1, -1, 1]])
    assert torch.allclose(y, signs * torch.tensor(scales)[:, None], atol=1e-6)
    assert weight_bits(w).tolist() == (signs > 0).tolist()
    y.backward(torch.tensor([[1.0, 2, 3], [4, 5, 6]]))
    assert w.grad.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("function", [binarize_signed, binarize_unsigned])
@pytest.mark.parametrize("seed", range(3))
def test_outputs_take_at_most_two_values(function, seed):
    x = torch.randn(50, 7, generator=torch.Generator().manual_seed(seed))
    assert len(function(x, torch.tensor(0.3)).unique()) == 2
