"""What is not finite is named where it began."""

import pytest
import torch

from earbit.nn.finite import first_non_finite
from earbit.pretrain.blame import non_finite_gradient


def three_linears():
    torch.manual_seed(0)
    return torch.nn.Sequential(*(torch.nn.Linear(2, 2, bias=False) for _ in range(3)))


def test_the_first_module_of_a_forward_pass_is_named():
    model = three_linears()
    torch.nn.init.constant_(model[1].weight, float("inf"))
    assert first_non_finite(model, lambda: model(torch.randn(1, 2))) == "1"
    torch.nn.init.ones_(model[1].weight)
    assert first_non_finite(model, lambda: model(torch.randn(1, 2))) is None


@pytest.mark.parametrize("bad", [[2], [0, 1], [0, 1, 2]])
def test_the_first_parameter_of_a_backward_pass_is_named(bad):
    model = three_linears()
    model(torch.randn(1, 2)).sum().backward()
    for i in bad:
        model[i].weight.grad[0, 0] = float("nan")
    assert non_finite_gradient(model) == f"{bad[-1]}.weight"


def test_finite_gradients_leave_their_norm_to_blame():
    model = three_linears()
    model(torch.randn(1, 2)).sum().backward()
    assert non_finite_gradient(model) == "their norm"
