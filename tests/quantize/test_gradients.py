"""Gradients of leaves against differences, wherever a derivative exists.

Of codes there is none; of what is not quantized, of a bias, and of the scale of one signed bit
(a sign does not depend on it) there is.
"""

import pytest
import torch
from test_product import settled

from earbit.nn.leaves import Conv1d, Linear, MatMul
from earbit.nn.precision import Precision
from earbit.quantize import binarize_signed
from earbit.quantize.codes import lsq_factor
from earbit.quantize.leaves import QuantizedConv1d, QuantizedLinear, QuantizedMatMul


def random(*shape):
    return torch.randn(*shape, dtype=torch.double).requires_grad_()


def with_tensors(leaf, names, run):
    """`run` as a function of the named parameters of a leaf, for `gradcheck`."""

    def function(*tensors):
        return torch.func.functional_call(leaf, dict(zip(names, tensors, strict=True)), run)

    return function


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_of_a_linear(bits):
    torch.manual_seed(0)
    of_input = settled(QuantizedLinear(Linear(6, 4), Precision(bits, 32), "channel"))
    assert torch.autograd.gradcheck(of_input, (random(3, 6),))
    of_weight = settled(QuantizedLinear(Linear(6, 4), Precision(32, bits), "channel"))
    weight, bias = of_weight.weight, of_weight.bias
    x = random(3, 6).detach()
    assert torch.autograd.gradcheck(
        with_tensors(of_weight, ["weight", "bias"], (x,)), (weight, bias)
    )


@pytest.mark.parametrize(("padding", "groups", "stride"), [(0, 1, 2), (3, 2, 1), (2, 4, 1)])
@pytest.mark.parametrize("bits", [1, 2, 8])
def test_of_a_convolution_in_a_batch_with_padding(bits, padding, groups, stride):
    torch.manual_seed(1)
    conv = Conv1d(4, 8, 5, stride=stride, padding=padding, groups=groups)
    lengths = torch.tensor([9, 6])
    of_input = settled(QuantizedConv1d(conv, Precision(bits, 32), "channel"))
    assert torch.autograd.gradcheck(lambda x: of_input(x, lengths), (random(2, 4, 9),))
    of_weight = settled(QuantizedConv1d(conv, Precision(32, bits), "channel"))
    x = random(2, 4, 9).detach()
    assert torch.autograd.gradcheck(
        with_tensors(of_weight, ["weight", "bias"], (x, lengths)),
        (of_weight.weight, of_weight.bias),
    )


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_of_the_float_side_of_a_product_of_activations(bits):
    torch.manual_seed(2)
    left, right = random(2, 1, 4, 5), random(1, 3, 5, 3)
    of_left = settled(QuantizedMatMul(MatMul("signed"), Precision(bits, 32)))
    assert torch.autograd.gradcheck(lambda x: of_left(x, right.detach()), (left,))
    of_right = settled(QuantizedMatMul(MatMul("unsigned"), Precision(32, bits)))
    assert torch.autograd.gradcheck(lambda x: of_right(left.detach(), x), (right,))


def test_of_the_scale_of_one_signed_bit():
    x = random(3, 5).detach()
    scale = torch.tensor(0.7, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: binarize_signed(x, a, 0.1, 1.0), (scale,))


@pytest.mark.parametrize("lengths", [None, [9, 6]])
@pytest.mark.parametrize(("padding", "groups"), [(0, 1), (3, 1), (2, 4)])
def test_of_the_scale_of_a_convolution_whose_padding_is_minus_the_scale(padding, groups, lengths):
    torch.manual_seed(3)
    conv = Conv1d(4, 8, 5, padding=padding, groups=groups)
    leaf = settled(QuantizedConv1d(conv, Precision(1, 1), "channel"))
    x = random(2, 4, 9).detach()
    given = None if lengths is None else torch.tensor(lengths)
    scale = leaf.input_quantizer.scale
    y = leaf(x, given)
    g = torch.randn_like(y)
    (grad,) = torch.autograd.grad((y * g).sum(), scale)
    # The output is linear in the scale: it and the bias are all that there is.
    derivative = ((y - leaf.bias[:, None]) / scale * g).sum()
    assert grad.item() == pytest.approx(derivative.item() * lsq_factor(x.numel()), rel=1e-9)


def test_padded_frames_have_none():
    torch.manual_seed(4)
    leaf = settled(QuantizedConv1d(Conv1d(4, 4, 5, padding=2), Precision(1, 1), "channel"))
    x = random(2, 4, 9)
    leaf(x, torch.tensor([9, 6])).sum().backward()
    assert x.grad[1, :, 6:].abs().max() == 0
    assert x.grad[1, :, :6].abs().max() > 0


@pytest.mark.parametrize(("precision", "kept"), [("w1a32", 0.5), ("w1a1", 0.0), ("w8a8", 0.0)])
def test_dropout_of_an_input_ends_where_its_codes_begin(precision, kept):
    linear = Linear(6, 4, input_dropout=0.5)
    leaf = QuantizedLinear(linear, Precision.parse(precision), "channel").train()
    assert leaf.input_dropout == kept
    x = torch.ones(1, 6)
    torch.manual_seed(0)
    outputs = {tuple(leaf(x).flatten().tolist()) for _ in range(8)}
    assert (len(outputs) > 1) == (kept > 0)
