"""What a conversion makes of the leaves of a model."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from make_golden import GOLDEN, NAMES, reports_of

from earbit.load import random_model
from earbit.nn.precision import Precision
from earbit.presets import preset
from earbit.quantize.calibrate import quantizers_of
from earbit.quantize.codes import code_range
from earbit.quantize.convert import convert, quantized_leaves_of
from earbit.quantize.leaves import QuantizedMatMul
from earbit.quantize.student import noise_clips, quantized_copy


@pytest.mark.parametrize("name", NAMES)
def test_every_plan_makes_of_every_leaf_what_is_written_down(name):
    assert reports_of(name) == (GOLDEN / f"{name}.txt").read_text()


MODELS = {
    plan: quantized_copy(random_model(preset("conformer-tiny"), 0), plan, noise_clips(0)).eval()
    for plan in ("w1a1", "w2a2")
}


@pytest.mark.parametrize("plan", MODELS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), loudness=st.floats(1e-4, 1.0))
def test_an_operand_takes_no_other_codes_than_its_set_has(plan, seed, loudness):
    model = MODELS[plan]
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


@pytest.mark.parametrize("plan", MODELS)
def test_a_channel_of_a_weight_takes_no_more_values_than_its_bits_have(plan):
    for leaf in quantized_leaves_of(MODELS[plan]).values():
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
