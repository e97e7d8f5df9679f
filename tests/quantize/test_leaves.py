import dataclasses

import pytest
import torch

from earbit.errors import ConfigError, DataError
from earbit.load import load_model, random_model
from earbit.model_file import save_model
from earbit.nn.leaves import Conv1d, Linear, MatMul, leaves_of
from earbit.nn.precision import W1A1, Precision
from earbit.presets import preset
from earbit.quantize import binarize_signed, binarize_unsigned, binarize_weight
from earbit.quantize.calibrate import CalibrationConfig, calibrate, quantizers_of
from earbit.quantize.convert import convert, precisions_of, quantized_leaves_of
from earbit.quantize.leaves import QuantizedConv1d, QuantizedLinear, QuantizedMatMul
from earbit.quantize.plan import PLANS, Plan
from earbit.quantize.product import LinearProduct
from earbit.quantize.selector import Selector
from earbit.quantize.student import noise_clips, quantized_copy, student_of


def randomised(leaf):
    for parameter in leaf.parameters():
        if parameter.dim() < 2:
            torch.nn.init.uniform_(parameter, 0.1, 0.6)
    return leaf


@pytest.mark.parametrize("activation", ["none", "gelu"])
def test_a_linear_is_the_product_of_its_binarized_operands(activation):
    torch.manual_seed(0)
    leaf = randomised(QuantizedLinear(Linear(20, 7, input_activation=activation), W1A1, "channel"))
    x = torch.randn(3, 5, 20)
    binarize = binarize_signed if activation == "none" else binarize_unsigned
    shifted = (x if activation == "none" else x.relu()) + leaf.input_quantizer.shift
    operand = binarize(shifted, leaf.input_quantizer.scale)
    expected = operand @ binarize_weight(leaf.weight).T + leaf.bias
    assert torch.allclose(leaf(x), expected, atol=1e-5)


@pytest.mark.parametrize(("padding", "groups", "stride"), [(0, 1, 2), (4, 2, 1), (3, 4, 1)])
def test_padding_of_a_convolution_is_bit_zero(padding, groups, stride):
    torch.manual_seed(1)
    conv = Conv1d(8, 12, 5, stride=stride, padding=padding, groups=groups)
    leaf = randomised(QuantizedConv1d(conv, W1A1, "channel"))
    x = torch.randn(2, 8, 30)
    quantizer = leaf.input_quantizer
    operand = binarize_signed(x, quantizer.scale, quantizer.shift[:, None])
    low = -quantizer.scale.item()
    operand = torch.nn.functional.pad(operand, (padding, padding), value=low)
    expected = torch.nn.functional.conv1d(
        operand, binarize_weight(leaf.weight), leaf.bias, stride, groups=groups
    )
    assert torch.allclose(leaf(x), expected, atol=1e-5)


def test_padded_frames_of_a_batch_are_bit_zero_too():
    torch.manual_seed(2)
    leaf = randomised(QuantizedConv1d(Conv1d(4, 4, 5, padding=2), W1A1, "channel"))
    x = torch.randn(1, 4, 12)
    longer = torch.cat([x, torch.randn(1, 4, 6)], dim=-1)
    assert torch.equal(leaf(longer, torch.tensor([12]))[..., :12], leaf(x))


def test_a_product_of_probabilities_and_values_uses_both_sets():
    leaf = QuantizedMatMul(MatMul(left_set="unsigned"), W1A1)
    torch.nn.init.constant_(leaf.left_quantizer.scale, 0.2)
    torch.nn.init.constant_(leaf.right_quantizer.scale, 0.5)
    p = torch.tensor([[0.05, 0.3, 0.65]])
    v = torch.tensor([[1.0, -1.0], [0.0, -2.0], [-3.0, 4.0]])
    # bits of p: 0 1 1; signs of v: (+, -), (-> +), (-, +)
    assert torch.allclose(leaf(p, v), torch.tensor([[0.2 * 0.5 * (1 - 1), 0.2 * 0.5 * (-1 + 1)]]))


def test_converting_twice_is_refused_and_changes_nothing():
    model = random_model(preset("hubert-tiny"), 0)
    table = PLANS["w1a1"].precisions(leaves_of(model))
    convert(model, table)
    before = precisions_of(model)
    with pytest.raises(ConfigError, match="w1a1 already"):
        convert(model, table)
    assert precisions_of(model) == before


def test_the_float_plan_changes_nothing():
    model = random_model(preset("sparseformer-dn-tiny"), 0).eval()
    twin = quantized_copy(model, "fp32", [])
    wave = torch.randn(1, 4000)
    with torch.no_grad():
        assert torch.equal(model(wave).states[-1], twin(wave).states[-1])


def test_calibration_is_deterministic_and_sets_every_scale():
    model = random_model(preset("sparseformer-dn-tiny"), 0)
    twins = [quantized_copy(model, "w1a1", noise_clips(3)) for _ in range(2)]
    for name, tensor in twins[0].state_dict().items():
        assert torch.equal(tensor, twins[1].state_dict()[name])
        if name.endswith("_quantizer.scale"):
            assert tensor.item() != 1.0
            assert tensor.item() > 0


def test_calibration_names_the_leaf_that_is_not_finite():
    model = random_model(preset("hubert-tiny"), 0)
    convert(model, PLANS["w1a1"].precisions(leaves_of(model)))
    model.encoder.layers[1].attention.q_proj.bias.data.fill_(float("nan"))
    with pytest.raises(DataError, match=r"batch 0: .*encoder\.layers\.1\.attention\.scores"):
        calibrate(model, [torch.randn(1, 4000)])


def test_calibration_names_the_batch_and_leaves_every_module_in_its_mode():
    model = random_model(preset("hubert-tiny"), 0).train()
    model.front_end.eval()
    convert(model, PLANS["w1a1"].precisions(leaves_of(model)))
    before = [module.training for module in model.modules()]
    too_loud = torch.full((1, 4000), 1e30)
    with pytest.raises(DataError, match="batch 1: "):
        calibrate(model, [torch.randn(1, 4000), too_loud])
    assert [module.training for module in model.modules()] == before


def test_a_quantized_copy_leaves_its_model_as_it_was():
    model = random_model(preset("hubert-tiny"), 0).eval()
    wave = torch.randn(1, 4000)
    with torch.no_grad():
        before = model(wave).states[-1]
        quantized_copy(model, "w1a1", noise_clips(0))
        assert torch.equal(model(wave).states[-1], before)


def test_calibration_refuses_what_is_not_finite_behind_the_last_quantizer():
    model = quantized_copy(random_model(preset("hubert-tiny"), 0), "w1a1", noise_clips(0))
    last = list(model.encoder.layers)[-1]
    norm = [m for m in last.modules() if isinstance(m, torch.nn.LayerNorm)][-1]
    torch.nn.init.constant_(norm.weight, float("nan"))
    with pytest.raises(DataError, match=r"batch 0.*non-finite output of module 'encoder.layers"):
        calibrate(model, [torch.randn(1, 8000)])


def test_a_rule_for_all_leaves_keeps_the_unit_head_in_float():
    model = random_model(dataclasses.replace(preset("hubert-tiny"), n_units=5), 0)
    student = student_of(
        model, Plan("all", ((Selector(), W1A1),)), noise_clips(0), CalibrationConfig()
    )
    is_float = {leaf.role == "head": leaf.leaf.precision.is_float for leaf in leaves_of(student)}
    assert is_float == {True: True, False: False}


def test_calibration_without_audio_is_refused():
    model = random_model(preset("hubert-tiny"), 0)
    with pytest.raises(ConfigError, match="without audio"):
        calibrate(model, [])


@pytest.mark.parametrize(
    "name", ["hubert-tiny", "conformer-tiny", "squeezeformer-tiny", "sparseformer-dn-tiny"]
)
def test_binarized_operands_are_two_numbers(name):
    model = quantized_copy(random_model(preset(name), 0).eval(), "w1a1", noise_clips(0))
    quantizers, seen = quantizers_of(model), {}
    for which, quantizer in quantizers.items():
        quantizer.register_forward_hook(
            lambda _, args, y, which=which: seen.setdefault(which, set()).update(
                y.unique().tolist()
            )
        )
    with torch.no_grad():
        model(torch.from_numpy(noise_clips(1)[0])[None])
    assert seen.keys() == quantizers.keys()
    for which, numbers in seen.items():
        assert numbers <= ({-1, 1} if quantizers[which].number_set == "signed" else {0, 1})
    # Uniform probabilities of untrained attention are all below the threshold, and sum to nothing.
    assert sum(len(numbers) == 2 for numbers in seen.values()) > 0.8 * len(seen)
    for leaf in quantized_leaves_of(model).values():
        if not isinstance(leaf, QuantizedMatMul):
            weight = leaf.weight.detach()
            for channel, of_floats in zip(binarize_weight(weight), weight, strict=True):
                size = of_floats.abs().mean()
                assert torch.allclose(channel.abs(), size.expand_as(channel))


def test_a_frozen_weight_costs_no_gradient_and_its_input_still_has_one(monkeypatch):
    leaf = randomised(QuantizedLinear(Linear(20, 7), W1A1, "channel"))
    leaf.weight.requires_grad_(False)
    monkeypatch.setattr(LinearProduct, "right_gradient", lambda *_: pytest.fail("computed"))
    x = torch.randn(3, 20, requires_grad=True)
    leaf(x).sum().backward()
    assert x.grad is not None
    assert leaf.weight.grad is None
    assert leaf.input_quantizer.shift.grad is not None


def test_audio_costs_no_gradient_where_nothing_before_it_learns(monkeypatch):
    leaf = randomised(QuantizedLinear(Linear(20, 7), W1A1, "channel"))
    leaf.input_quantizer.requires_grad_(False)
    monkeypatch.setattr(LinearProduct, "left_gradient", lambda *_: pytest.fail("computed"))
    leaf(torch.randn(3, 20)).sum().backward()
    assert leaf.weight.grad is not None


@pytest.mark.parametrize("plan", PLANS)
def test_a_model_file_gives_the_same_output_bit_for_bit(plan, tmp_path):
    model = quantized_copy(random_model(preset("sparseformer-dn-tiny"), 0), plan, noise_clips(0))
    expect_the_same_after_saving(model, tmp_path)


def test_a_model_file_knows_which_weights_have_one_scale_for_all_of_them(tmp_path):
    model = random_model(preset("sparseformer-dn-tiny"), 0)
    convert(model, {"encoder.layers.0.attention.q_proj": W1A1, "front_end.convs.1": W1A1}, "tensor")
    convert(model, {"encoder.layers.0.attention.k_proj": W1A1})
    calibrate(model, [torch.from_numpy(clip)[None] for clip in noise_clips(0)])
    expect_the_same_after_saving(model, tmp_path)


def expect_the_same_after_saving(model, tmp_path):
    save_model(model, tmp_path / "model.safetensors", {"stage": "test"})
    twin = load_model(tmp_path)
    assert precisions_of(twin) == precisions_of(model)
    wave = torch.randn(1, 5000)
    with torch.no_grad():
        assert torch.equal(model.eval()(wave).states[-1], twin(wave).states[-1])


@pytest.mark.parametrize("bits", ["w1a1", "w4a4", "w8a8", "w1a32"])
def test_no_quantized_input_is_dropped(bits):
    precision = Precision.parse(bits)
    leaf = QuantizedLinear(Linear(64, 8, input_dropout=0.5), precision, "channel").train()
    x = torch.randn(4, 64)
    assert torch.equal(leaf(x), leaf(x)) == (precision.activation_bits < 32)
