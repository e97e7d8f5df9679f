"""Floors of scales, and gradients of codes under autocast; `test_functions.py` has their values."""

import pytest
import torch

from earbit.quantize.codes import MIN_SCALE, codes_gradient, codes_of
from earbit.quantize.quantizers import ActivationQuantizer


def test_a_scale_at_zero_or_below_counts_as_the_least_scale():
    quantizer = ActivationQuantizer(2, "signed")
    x = torch.tensor([1.0, -1.0], requires_grad=True)
    for scale in (0.0, -0.3):
        quantizer.scale.data.fill_(scale)
        assert quantizer.step().item() == pytest.approx(MIN_SCALE)
        assert quantizer(x).tolist() == [1, -2]


def test_under_autocast_the_gradient_of_half_precision_products_reaches_codes_in_full():
    torch.manual_seed(0)
    x, scale = torch.randn(64), torch.tensor(0.4)
    found = codes_of(x, scale, 1, "signed")
    grad = torch.randn(64)
    of_x, of_scale = codes_gradient(x, scale, 1, "signed", found, grad.bfloat16())
    whole_x, whole_scale = codes_gradient(x, scale, 1, "signed", found, grad.bfloat16().float())
    assert (of_x.dtype, of_scale.dtype) == (torch.float32, torch.float32)
    assert torch.equal(of_x, whole_x)
    assert torch.equal(of_scale, whole_scale)
