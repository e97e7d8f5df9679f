"""Convolutions as matrix products, the form of GPUs, judged against PyTorch's on a CPU."""

import pytest
import torch
from torch.nn import functional as F

from earbit.nn import convolution

SHAPES = {
    "audio": (1, 24, 10, 5, 1, 403),
    "front end, odd": (24, 16, 3, 2, 1, 81),
    "front end, even": (16, 24, 2, 2, 1, 60),
    "positional": (48, 48, 128, 1, 16, 300),
    "positional, short": (32, 32, 64, 1, 16, 64),
    "positional, odd": (32, 64, 33, 1, 16, 101),
}


@pytest.fixture
def as_on_gpu(monkeypatch):
    """Takes every tensor for one on a GPU."""
    chosen = convolution.runs_as_product

    class OnGpu:
        is_cuda = True

    monkeypatch.setattr(convolution, "runs_as_product", lambda x, *shape: chosen(OnGpu(), *shape))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_products_equal_convolutions_and_their_gradients(shape, as_on_gpu):
    n_in, n_out, kernel, stride, groups, n_frames = shape
    of = {"stride": stride, "groups": groups}
    random = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(*size, dtype=torch.double, generator=random).requires_grad_()
        for size in ((3, n_in, n_frames), (n_out, n_in // groups, kernel), (n_out,))
    )
    assert convolution.runs_as_product(x, weight.shape, stride, groups)
    expected = F.conv1d(x, weight, bias, **of)
    found = convolution.conv1d(x, weight, bias, **of)
    torch.testing.assert_close(found, expected)
    grad = torch.randn(expected.shape, dtype=torch.double, generator=random)
    wanted = torch.autograd.grad(expected, (x, weight, bias), grad)
    torch.testing.assert_close(torch.autograd.grad(found, (x, weight, bias), grad), wanted)
    of_input = convolution.conv1d_input_gradient(x.shape, weight.detach(), grad, **of)
    of_weight = convolution.conv1d_weight_gradient(x.detach(), weight.shape, grad, **of)
    torch.testing.assert_close((of_input, of_weight), wanted[:2])


@pytest.mark.parametrize(
    "shape", [(144, 1, 31), (144, 9, 5)], ids=["depthwise", "few frames in groups"]
)
def test_other_convolutions_stay_with_pytorch(shape, as_on_gpu):
    assert not convolution.runs_as_product(torch.empty(0), shape, 1, 144 // shape[1])


def test_on_a_cpu_all_convolutions_are_those_of_pytorch():
    assert not convolution.runs_as_product(torch.empty(0), (24, 16, 3), 2, 1)
    assert not convolution.runs_as_product(torch.empty(0), (48, 3, 128), 1, 16)
