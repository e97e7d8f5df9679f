"""First values of scales."""

import pytest
import torch

from earbit.quantize import quantize_signed, quantize_unsigned
from earbit.quantize.scale_search import bit_scale, least_squares_scale

SETS = {"signed": quantize_signed, "unsigned": quantize_unsigned}


def test_first_scales_follow_bit():
    x = torch.tensor([-0.9, -0.3, -0.1, 0.05, 0.2, 0.4, 0.6, 1.3])
    assert bit_scale(x, 1, "signed").item() == pytest.approx(0.9625)
    assert bit_scale(x, 2, "signed").item() == pytest.approx(0.9625)
    assert bit_scale(x, 1, "unsigned").item() == pytest.approx(1.925)
    assert bit_scale(x, 2, "unsigned").item() == pytest.approx(1.111399)


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


def test_one_signed_bit_has_the_mean_size_however_far_outliers_are():
    x = torch.randn(1, 4000, generator=torch.Generator().manual_seed(1))
    x[0, 0] = 1000.0
    assert least_squares_scale(x, 1, "signed").item() == pytest.approx(x.abs().mean().item())
