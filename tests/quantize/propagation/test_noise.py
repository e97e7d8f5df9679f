"""Noise in the place of quantization: its power, and what it depends on."""

import pytest
import torch
from test_propagation_measure import CLIPS, OTHERS, float_model, module, wave

from earbit.quantize.plan import PLANS
from earbit.quantize.propagation.groups import Group
from earbit.quantize.propagation.hooks import noisy
from earbit.quantize.propagation.measure import measure
from earbit.quantize.propagation.subjects import calibrated_twin

LAYERS = Group(("attention", "feed_forward"))


def test_noise_has_its_power_and_does_not_depend_on_other_noise():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Identity())
    x = torch.zeros(1, 500, 100)
    with noisy(model, {"0": 0.25}, "3"):
        first = model(x)
    with noisy(model, {"0": 0.25, "1": 4.0}, "3"):
        both = model(x)
    second = both - first
    assert float(first.square().mean()) == pytest.approx(0.25, rel=0.02)
    assert float(second.square().mean()) == pytest.approx(4.0, rel=0.02)
    assert abs(float((first * second).mean())) < 0.02
    assert torch.equal(model(x), x)


def test_noise_differs_from_clip_to_clip_and_by_the_seed():
    teacher = float_model("transformer")
    student = calibrated_twin(teacher, PLANS["w1a1"], OTHERS)

    def noise(clips, seed):
        errors = measure(teacher, student, clips, seed=seed)
        groups = (LAYERS, Group(("attention",), 1))
        return [errors.noise[group][-1].noise for group in groups]

    once, again, other = noise(CLIPS[:1], 0), noise(CLIPS[:1], 0), noise(CLIPS[:1], 1)
    assert once == again
    twice = noise([CLIPS[0], CLIPS[0]], 0)
    for one, of_other_seed, of_two in zip(once, other, twice, strict=True):
        assert of_other_seed != pytest.approx(one, rel=1e-6)
        # The clip is the same, so that noise which is the same too would make just twice as much.
        assert of_two != pytest.approx(2 * one, rel=1e-6)
        assert of_two == pytest.approx(2 * one, rel=0.3)


def test_noise_in_one_group_is_that_of_its_blocks_and_of_its_power():
    """The two feed-forwards of one layer, each with as much noise as quantization makes in it."""
    teacher = float_model("conformer")
    student = calibrated_twin(teacher, PLANS["w1a1"], OTHERS)
    errors = measure(teacher, student, CLIPS[:1])
    blocks = [f"encoder.layers.1.{name}_feed_forward" for name in ("first", "second")]
    power = {name: module(errors, name).alone.varying_noise for name in blocks}
    expected = teacher(wave(CLIPS[0])).states[-1]
    with noisy(teacher, power, "0 0"):
        found = teacher(wave(CLIPS[0])).states[-1]
    noise = errors.noise[Group(("feed_forward",), 1)][-1].noise
    assert noise == pytest.approx(
        float((found - expected).detach().double().square().sum()), rel=1e-5
    )
