"""One-bit weights, judged by the hand-checkable vector of the BiT reference."""

import pytest
import torch

from earbit.quantize import binarize_weight
from earbit.quantize.weights import weight_bits, weight_signs


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


def test_a_weight_at_the_mean_is_plus():
    w = torch.tensor([[1.0, 2.0, 3.0], [2.0, 1.0, 3.0]])
    assert weight_bits(w).tolist() == [[False, True, True], [True, False, True]]
    assert weight_signs(w).tolist() == [[-1, 1, 1], [1, -1, 1]]


def test_a_channel_of_zeros_keeps_a_finite_gradient():
    w = torch.tensor([[0.0, 0.0], [1.0, -1.0]], requires_grad=True)
    y = binarize_weight(w)
    y.sum().backward()
    assert w.grad.tolist() == [[1, 1], [1, 1]]
    assert 0 < y[0, 0].item() < 1e-6
