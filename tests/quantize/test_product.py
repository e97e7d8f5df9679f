"""Products of codes against the plain product of quantized operands, gradients included."""

import pytest
import torch
from torch.nn import functional as F

from earbit.nn.leaves import Conv1d, Linear, MatMul
from earbit.nn.precision import Precision
from earbit.quantize import binarize_weight, quantize_signed, quantize_unsigned
from earbit.quantize.codes import lsq_factor
from earbit.quantize.leaves import QuantizedConv1d, QuantizedLinear, QuantizedMatMul

PRECISIONS = ["w1a1", "w1a2", "w2a2", "w4a4", "w8a8", "w1a32", "w32a1", "w4a8"]


def quantized(x, quantizer):
    """An activation as its quantizer has it, by the public functions."""
    if quantizer is None:
        return x
    function = quantize_signed if quantizer.number_set == "signed" else quantize_unsigned
    shift = 0.0 if quantizer.shift is None else quantizer.shift.view(-1, *quantizer.trailing)
    return function(x + shift, quantizer.scale, quantizer.bits)


def quantized_weight(leaf):
    quantizer = leaf.weight_quantizer
    if quantizer is None:
        return leaf.weight
    if quantizer.bits == 1:
        return binarize_weight(leaf.weight, leaf.granularity)
    scale = quantizer.log_scale.exp().view(-1, *(1,) * (leaf.weight.dim() - 1))
    return quantize_signed(leaf.weight, scale, quantizer.bits)


def settled(leaf):
    """In double precision, with scales and shifts that are no round numbers."""
    leaf.double()
    for name, parameter in leaf.named_parameters():
        if name.endswith("quantizer.shift"):
            torch.nn.init.uniform_(parameter, -0.2, 0.2)
        elif name.endswith("quantizer.scale"):
            torch.nn.init.uniform_(parameter, 0.3, 0.7)
        elif name.endswith("quantizer.log_scale"):
            parameter.data += 0.1 * torch.randn_like(parameter)
    return leaf


def expect_the_same(leaf, run, expected, inputs):
    sides = []
    for function in (run, expected):
        leaf.zero_grad()
        given = [x.clone().requires_grad_() for x in inputs]
        y = function(*given)
        (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
        gradients = {n: p.grad.clone() for n, p in leaf.named_parameters()}
        sides.append([y, *(x.grad for x in given), *gradients.values()])
    for ours, plain in zip(*sides, strict=True):
        assert torch.allclose(ours, plain, atol=1e-9), (ours, plain)
        assert plain.abs().max() > 0


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
@pytest.mark.parametrize("activation", ["none", "gelu"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_linear(precision, activation, granularity):
    torch.manual_seed(0)
    linear = Linear(20, 7, input_activation=activation)
    leaf = settled(QuantizedLinear(linear, Precision.parse(precision), granularity))
    applied = {"none": lambda x: x, "gelu": F.gelu, "relu": F.relu}[leaf.input_activation]

    def expected(x):
        read = quantized(applied(x), leaf.input_quantizer)
        return F.linear(read, quantized_weight(leaf), leaf.bias)

    expect_the_same(leaf, leaf, expected, [torch.randn(3, 5, 20, dtype=torch.double)])


@pytest.mark.parametrize(("padding", "groups", "stride"), [(0, 1, 2), (4, 2, 1), (3, 8, 1)])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_convolution(precision, padding, groups, stride):
    torch.manual_seed(1)
    conv = Conv1d(8, 16, 5, stride=stride, padding=padding, groups=groups)
    leaf = settled(QuantizedConv1d(conv, Precision.parse(precision), "channel"))

    def expected(x):
        read = quantized(x, leaf.input_quantizer)
        quantizer = leaf.input_quantizer
        if quantizer is None or quantizer.bits > 1:
            read = F.pad(read, (padding, padding))
        else:
            # Minus the scale, whose gradient has the factor of the numbers beside it.
            factor = lsq_factor(x.numel())
            scale = quantizer.scale * factor + quantizer.scale.detach() * (1 - factor)
            edge = -scale.expand(*x.shape[:-1], padding)
            read = torch.cat([edge, read, edge], dim=-1)
        return F.conv1d(read, quantized_weight(leaf), leaf.bias, stride, groups=groups)

    expect_the_same(leaf, leaf, expected, [torch.randn(2, 8, 30, dtype=torch.double)])


@pytest.mark.parametrize("left_set", ["signed", "unsigned"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_product_of_activations_one_of_which_is_broadcast(precision, left_set):
    torch.manual_seed(2)
    leaf = settled(QuantizedMatMul(MatMul(left_set), Precision.parse(precision)))

    def expected(left, right):
        return quantized(left, leaf.left_quantizer) @ quantized(right, leaf.right_quantizer)

    left = torch.randn(2, 3, 6, 5, dtype=torch.double)
    right = torch.randn(1, 3, 5, 4, dtype=torch.double)
    expect_the_same(leaf, leaf, expected, [left, right])


@pytest.mark.parametrize("precision", ["w1a1", "w4a4"])
def test_only_operands_are_kept_for_the_backward_pass(precision):
    leaf = QuantizedLinear(Linear(64, 64, bias=False), Precision.parse(precision), "channel")
    x = torch.randn(100, 64, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        leaf(x)
    large = {t.data_ptr() for t in kept if t.numel() > 64}
    assert large == {x.data_ptr(), leaf.weight.data_ptr()}
