"""Memory of small modules by hand: who is alive, and in how many bits."""

import pytest
import torch
from by_hand import profile

from earbit.cost.memory import Memory
from earbit.cost.trace import trace
from earbit.nn.leaves import Linear, MatMul
from earbit.nn.precision import FLOAT, W1A1, Precision
from earbit.presets import preset


class Function(torch.nn.Module):
    """Any function of tensors and leaves as a module."""

    def __init__(self, function, **leaves):
        super().__init__()
        self.function = function
        for name, leaf in leaves.items():
            setattr(self, name, leaf)

    def forward(self, *inputs):
        return self.function(self, *inputs)


@pytest.mark.parametrize(("bits", "n_bits"), [(32, 32), (8, 8), (1, 1)])
def test_what_a_leaf_reads_has_its_bits_and_the_result_is_float(bits, n_bits):
    model = torch.nn.Sequential(Linear(4, 6), Linear(6, 5))
    precisions = {"1": Precision(bits, bits)}
    peaks = trace(model, torch.zeros(1, 3, 4)).at(precisions).peak_bits
    # 3 x 6 between the leaves, 3 x 5 at the end.
    assert peaks == {"0": 18 * n_bits, "1": 18 * n_bits + 15 * 32}


def test_the_most_demanding_reader_decides():
    def twice_and_itself(self, x):
        x = x.exp()
        return self.second(self.first(x)) + x

    model = Function(twice_and_itself, first=Linear(4, 4), second=Linear(4, 4))
    precisions = {"first": W1A1, "second": W1A1}
    peaks = trace(model, torch.zeros(2, 4)).at(precisions).peak_bits
    # 1-bit leaves and the sum read exp; the second leaf alone reads what the first gives.
    assert peaks["first"] == 8 * 32 + 8 * 1
    assert peaks[""] == 3 * 8 * 32


def test_what_nobody_holds_any_more_is_gone():
    def chain(self, x):
        for _ in range(10):
            x = x.exp()
        return x

    peaks = trace(Function(chain), torch.zeros(7)).peak_bits
    assert peaks == {"": 2 * 7 * 32}


def test_a_view_is_free_and_a_copy_has_the_bits_of_its_readers():
    def product(self, x):
        left, right = x.exp(), x.exp()
        return self.product(left, right.transpose(-1, -2).contiguous())

    model = Function(product, product=MatMul())
    x = torch.zeros(1, 1, 3, 5)
    for precision, bits in ((FLOAT, 32), (W1A1, 1)):
        peaks = trace(model, x).at({"product": precision}).peak_bits
        # Left, right, the copy of right; then the result of 3 x 3 as well.
        assert peaks[""] == 3 * 15 * bits
        assert peaks["product"] == 3 * 15 * bits + 9 * 32


def test_another_look_at_the_clip_or_at_a_weight_is_not_counted():
    def shifted(self, x):
        self.seen = x[:, None], self.norm.weight[:, None], self.norm.running_mean[:, None]
        return x[:, None].exp()

    model = Function(shifted, norm=torch.nn.BatchNorm1d(4)).eval()
    assert trace(model, torch.zeros(3, 5)).peak_bits == {"": 3 * 5 * 32}


def test_a_clip_that_is_changed_is_a_new_one_and_is_counted():
    peaks = trace(Function(lambda _, x: x[:, None].clone()), torch.zeros(3, 5)).peak_bits
    assert peaks == {"": 3 * 5 * 32}


def test_masks_are_bytes_whoever_reads_them():
    memory = Memory(given=())
    mask = torch.zeros(6, dtype=torch.bool)
    memory.made([mask], "mask")
    memory.end()
    assert memory.peaks() == {"mask": 6 * 8}


def test_the_peak_of_hubert_base_is_the_first_convolution_and_its_norm():
    cost = profile(preset("hubert-base"))
    # 31,999 frames of 512 before and after the norm, and its statistics.
    n_elements = 2 * 31_999 * 512 + 2 * 512
    assert cost.total.activation_bits == 32 * n_elements
    assert cost.total.activation_bits == cost.modules["front_end.norms.0"].activation_bits
