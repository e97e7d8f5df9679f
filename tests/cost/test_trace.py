"""What a small module does, counted by hand."""

import pytest
import torch

from earbit.cost.trace import trace
from earbit.model import AudioModel
from earbit.nn.leaves import Conv1d, Linear, MatMul, leaf_modules
from earbit.nn.precision import FLOAT, W1A1, Precision
from earbit.nn.sparse_pattern import SparsePattern
from earbit.presets import preset
from earbit.quantize.convert import convert


class Block(torch.nn.Module):
    """A leaf with bias and activation, a norm, a sum; (B, T, 4) -> (B, T, 4)."""

    def __init__(self):
        super().__init__()
        self.leaf = Linear(4, 4, input_activation="gelu")
        self.norm = torch.nn.LayerNorm(4)

    def forward(self, x):
        return x + self.norm(self.leaf(x))


class Function(torch.nn.Module):
    """Any function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def test_every_operation_is_noted_with_its_module_its_kind_and_its_cost():
    model = torch.nn.Sequential(Block(), Block())
    traced = trace(model, torch.zeros(2, 3, 4))
    rows = [(op.name, op.kind, op.n_macs, op.n_other_flops, op.n_weights) for op in traced.ops]
    assert rows == [
        ("0.leaf", "linear", 2 * 3 * 4 * 4, 24 + 24, 16),
        ("0.norm", "native_layer_norm", 0, 5 * 24, 0),
        ("0", "add", 0, 24, 0),
        ("1.leaf", "linear", 2 * 3 * 4 * 4, 24 + 24, 16),
        ("1.norm", "native_layer_norm", 0, 5 * 24, 0),
        ("1", "add", 0, 24, 0),
    ]
    assert all(op.out_elements == 24 for op in traced.ops)
    assert not traced.unknown_ops
    assert traced.ops[0].flops == 2 * 96 + 48


def test_an_operation_without_a_formula_is_reported_with_its_count():
    traced = trace(Function(lambda x: x.cumsum(0).cumsum(0).exp()), torch.zeros(5))
    assert traced.unknown_ops == {"aten.cumsum": 2}
    assert [op.kind for op in traced.ops] == ["exp"]


def test_a_product_outside_the_leaves_is_reported_and_not_counted():
    traced = trace(Function(torch.matmul), torch.zeros(3, 4), torch.zeros(4, 5))
    assert traced.unknown_ops == {"aten.mm": 1}
    assert not traced.ops


def test_an_operation_in_place_costs_what_the_other_form_costs():
    (op,) = trace(Function(lambda x: x.clone().add_(1.0)), torch.zeros(5)).ops
    assert (op.kind, op.n_other_flops) == ("add", 5)


def test_index_arithmetic_is_no_floating_point_operation():
    traced = trace(Function(lambda x: (x - 1).abs() < 3), torch.arange(5))
    assert not traced.ops
    assert not traced.unknown_ops


def test_precisions_come_from_the_mapping_else_from_the_leaf():
    model = torch.nn.Sequential(Linear(4, 4), Linear(4, 4))
    model[1].precision = W1A1
    x = torch.zeros(1, 4)
    assert [op.precision for op in trace(model, x).ops] == [FLOAT, W1A1]
    given = {"0": Precision(8, 4), "1": Precision(2, 2)}
    ops = trace(model, x).at(given).ops
    assert [op.bops for op in ops] == [16 * 8 * 4, 16 * 2 * 2]


@pytest.mark.parametrize(("is_left", "n_macs"), [(False, 3 * 10 * 4), (True, 3 * 10 * 7)])
def test_pairs_lie_in_the_result_or_where_attention_weights_are(is_left, n_macs):
    everywhere = torch.ones(1, 1, dtype=torch.bool)
    pattern = SparsePattern(n_pairs=10, is_left_sparse=is_left, left=everywhere, right=everywhere)

    class Sparse(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.product = MatMul()

        def forward(self, left, right):
            with self.product.on(pattern):
                return self.product(left, right)

    # One row, 3 heads; (5, 4) x (4, 7).
    (op,) = trace(Sparse(), torch.zeros(1, 3, 5, 4), torch.zeros(1, 3, 4, 7)).ops
    assert op.n_macs == n_macs


def test_weight_norm_is_part_of_its_leaf():
    conv = torch.nn.utils.parametrizations.weight_norm(Conv1d(4, 6, 3, groups=2), dim=2)
    traced = trace(torch.nn.Sequential(conv), torch.zeros(1, 4, 9))
    (op,) = traced.ops
    assert (op.kind, op.n_macs, op.n_weights) == ("conv1d", 7 * 6 * 2 * 3, 6 * 2 * 3)
    assert not traced.unknown_ops


def test_a_quantized_model_has_the_products_of_the_float_model_in_one_bit():
    model = AudioModel(preset("sparseformer-dn-tiny")).eval()
    wave_BN = torch.zeros(1, 1_000)
    before = {op.name: op.n_macs for op in trace(model, wave_BN).ops if op.n_macs}
    convert(model, {name: W1A1 for name in leaf_modules(model) if "layers" in name})
    products = [op for op in trace(model, wave_BN).ops if op.n_macs]
    assert {op.name: op.n_macs for op in products} == before
    assert {op.name for op in products if op.precision == W1A1} == {
        name for name in before if "layers" in name
    }


@pytest.mark.parametrize("fails", [False, True])
def test_no_hook_stays_behind(fails):
    def run(x):
        if fails:
            raise ZeroDivisionError
        return x

    model = torch.nn.Sequential(Linear(4, 4), Function(run))
    if fails:
        with pytest.raises(ZeroDivisionError):
            trace(model, torch.zeros(1, 4))
    else:
        trace(model, torch.zeros(1, 4))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
