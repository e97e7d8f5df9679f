"""What a conversion makes of the leaves of a model."""

import copy
import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from make_golden import GOLDEN, NAMES, reports_of

from earbit.errors import ConfigError
from earbit.load import random_model
from earbit.nn.leaves import Conv1d, Linear
from earbit.nn.precision import W1A1, Precision
from earbit.presets import preset
from earbit.quantize.calibrate import CalibrationConfig, quantizers_of
from earbit.quantize.codes import code_range
from earbit.quantize.convert import convert, quantized_leaves_of
from earbit.quantize.leaves import QuantizedMatMul
from earbit.quantize.plan import PLANS
from earbit.quantize.student import float_twin, noise_clips, quantized_copy, student_of


@pytest.mark.parametrize("name", NAMES)
def test_every_plan_makes_of_every_leaf_what_is_written_down(name):
    assert reports_of(name) == (GOLDEN / f"{name}.txt").read_text()


@functools.cache
def conformer(plan):
    clips = noise_clips(0, n_clips=1, n_samples=8_000)
    return quantized_copy(random_model(preset("conformer-tiny"), 0), plan, clips).eval()


@pytest.mark.parametrize("plan", ["w1a1", "w2a2"])
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), loudness=st.floats(1e-4, 1.0))
def test_an_operand_takes_no_other_codes_than_its_set_has(plan, seed, loudness):
    model = conformer(plan)
    seen = {}
    handles = [
        q.register_forward_hook(lambda m, args, out, n=n: seen.update({n: out.unique().tolist()}))
        for n, q in quantizers_of(model).items()
    ]
    wave = loudness * torch.randn(1, 4000, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        model(wave)
    for handle in handles:
        handle.remove()
    assert seen.keys() == quantizers_of(model).keys()
    for name, found in seen.items():
        quantizer = quantizers_of(model)[name]
        low, high = code_range(quantizer.bits, quantizer.number_set)
        step = 2 if (low, high) == (-1, 1) else 1
        assert set(found) <= set(range(low, high + 1, step)), name


@pytest.mark.parametrize("plan", ["w1a1", "w2a2"])
def test_a_channel_of_a_weight_takes_no_more_values_than_its_bits_have(plan):
    for leaf in quantized_leaves_of(conformer(plan)).values():
        if not isinstance(leaf, QuantizedMatMul):
            codes = leaf.weight_quantizer(leaf.weight).flatten(1)
            most = max(len(channel.unique()) for channel in codes)
            assert most <= 2**leaf.precision.weight_bits


@pytest.mark.parametrize(
    ("bits", "activation"), [("w1a1", "relu"), ("w4a4", "relu"), ("w8a8", "gelu"), ("w1a8", "gelu")]
)
def test_an_activation_becomes_a_relu_where_the_bits_have_no_room_for_its_negative_side(
    bits, activation
):
    model = random_model(preset("hubert-tiny"), 0)
    name = "encoder.layers.0.feed_forward.output"
    convert(model, {name: Precision.parse(bits)})
    assert model.get_submodule(name).input_activation == activation


def test_a_conversion_keeps_type_and_what_learns():
    model = random_model(preset("hubert-tiny"), 0).double().requires_grad_(False).eval()
    name = "encoder.layers.0.feed_forward.output"
    convert(model, {name: Precision.parse("w4a4"), "front_end.convs.1": Precision.parse("w1a1")})
    assert {t.dtype for t in model.state_dict().values() if t.is_floating_point()} == {torch.double}
    assert not model.get_submodule(name).weight.requires_grad
    assert not model.get_submodule(name).bias.requires_grad
    assert torch.isfinite(model(torch.randn(1, 4000, dtype=torch.double)).states[-1]).all()


def single(leaf):
    model = torch.nn.Module()
    model.leaf = leaf
    return model


@pytest.mark.parametrize(
    ("precision", "granularity", "told"),
    [
        (W1A1, "chanel", "granularity='chanel'; allowed: channel, tensor"),
        ("w1a1", "channel", "leaf 'front_end.convs.1': 'w1a1' is not a Precision; give one, as"),
    ],
)
def test_an_invalid_precision_or_granularity_is_refused_before_any_change(
    precision, granularity, told
):
    model = random_model(preset("hubert-tiny"), 0)
    asked = {"encoder.layers.0.feed_forward.output": W1A1, "front_end.convs.1": precision}
    with pytest.raises(ConfigError, match=told):
        convert(model, asked, granularity)
    assert not quantized_leaves_of(model)


@pytest.mark.parametrize("bits", ["w1a1", "w8a8", "w32a8"])
@pytest.mark.parametrize("leaf", [Linear(8, 4), Conv1d(8, 4, 3)], ids=["linear", "conv"])
def test_a_conversion_does_not_round_weights_and_leaves_random_numbers_alone(leaf, bits):
    leaf = copy.deepcopy(leaf).double()
    torch.manual_seed(0)
    torch.nn.init.normal_(leaf.weight)
    torch.nn.init.normal_(leaf.bias)
    state = torch.get_rng_state()
    model = single(copy.deepcopy(leaf))
    convert(model, {"leaf": Precision.parse(bits)})
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(model.leaf.weight, leaf.weight)
    assert torch.equal(model.leaf.bias, leaf.bias)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.double}


def test_a_leaf_keeps_its_own_dtype_in_a_model_of_several():
    model = single(Linear(8, 4).double())
    model.register_parameter("first", torch.nn.Parameter(torch.zeros(())))
    convert(model, {"leaf": Precision.parse("w8a8")})
    assert {tensor.dtype for tensor in model.leaf.state_dict().values()} == {torch.double}


@pytest.mark.parametrize("plan", ["fp32", "w1a1"])
def test_a_student_learns_the_parameters_that_its_teacher_does(plan):
    teacher = quantized_copy(random_model(preset("hubert-tiny"), 0), plan, noise_clips(0))
    teacher.requires_grad_(False)
    names = {n for n, p in float_twin(teacher).named_parameters() if p.requires_grad}
    assert not names
    trained = "encoder.layers.1.attention.q_proj"
    teacher.get_submodule(trained).weight.requires_grad_(True)
    teacher.get_submodule("encoder.layers.1.attention_norm").bias.requires_grad_(True)
    student = student_of(teacher, PLANS["w8a8"], noise_clips(0), CalibrationConfig())
    weights = {n for n, p in student.named_parameters() if p.requires_grad if "quantizer" not in n}
    assert weights == {f"{trained}.weight", "encoder.layers.1.attention_norm.bias"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("bits", ["w1a1", "w2a2", "w8a8"])
def test_a_channel_of_zeros_is_finite_in_every_type(bits, dtype):
    leaf = Linear(8, 4).to(dtype)
    torch.nn.init.zeros_(leaf.weight[0])
    model = single(leaf)
    convert(model, {"leaf": Precision.parse(bits)})
    y = model.leaf(torch.ones(2, 8, dtype=dtype))
    y.sum().backward()
    assert torch.isfinite(y).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
@pytest.mark.parametrize("plan", ["w1a1", "w1a2", "w8a8"])
def test_a_model_that_is_under_a_plan_already_keeps_its_learned_scales(plan, granularity):
    def student(model, name, granularity):
        clips = noise_clips(1)
        return student_of(model, PLANS[name], clips, CalibrationConfig(), granularity)

    trained = student(random_model(preset("hubert-tiny"), 0), plan, granularity)
    for name, parameter in trained.named_parameters():
        if name.endswith("_quantizer.scale"):
            parameter.data *= 1.5
    before = trained.state_dict()
    same = student(trained, plan, granularity)
    assert same is not trained
    assert all(torch.equal(t, before[name]) for name, t in same.state_dict().items())
    other = "tensor" if granularity == "channel" else "channel"
    for changed in (student(trained, plan, other), student(trained, "w4a4", granularity)):
        scales = {
            n: t for n, t in changed.state_dict().items() if n.endswith("put_quantizer.scale")
        }
        assert scales
        assert all(not torch.equal(t, before[name]) for name, t in scales.items())
