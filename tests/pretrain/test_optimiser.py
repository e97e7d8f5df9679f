import dataclasses
from math import inf, nan

import numpy as np
import pytest
import torch

from earbit.errors import ConfigError
from earbit.load import random_model
from earbit.presets import preset
from earbit.pretrain.optimiser import OptimiserConfig, build_optimiser, lr_at, set_lr
from earbit.quantize.student import noise_clips, quantized_copy

HUBERT = OptimiserConfig(peak_lr=5e-4, n_steps=400_000, warmup_steps=32_000)


@pytest.mark.parametrize(
    ("step", "lr"), [(16_000, 2.5e-4), (32_000, 5e-4), (216_000, 2.5e-4), (400_000, 0.0)]
)
def test_the_schedule_is_that_of_hubert(step, lr):
    assert lr_at(step, HUBERT) == pytest.approx(lr)


def test_more_warm_up_than_steps_is_refused():
    with pytest.raises(ConfigError, match="warmup_steps=11 of n_steps=10"):
        OptimiserConfig(peak_lr=1e-3, n_steps=10, warmup_steps=11)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("peak_lr", 0.0),
        ("peak_lr", nan),
        ("peak_lr", inf),
        ("weight_decay", -0.1),
        ("weight_decay", inf),
        ("max_gradient_norm", 0.0),
        ("max_gradient_norm", nan),
    ],
)
def test_numbers_that_would_train_nothing_are_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"{name}={value}"):
        dataclasses.replace(HUBERT, **{name: value})


def test_scales_and_shifts_do_not_decay_and_everything_else_does():
    model = quantized_copy(random_model(preset("hubert-tiny"), 0), "w1a1", noise_clips(0))
    decayed, free = build_optimiser(model, HUBERT).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.01, 0.0)
    names = {id(p): name for name, p in model.named_parameters()}
    free_names = {names[id(p)] for p in free["params"]}
    assert all(n.endswith(("_quantizer.scale", "_quantizer.shift")) for n in free_names)
    assert len(decayed["params"]) + len(free["params"]) == len(names)


def test_updates_are_those_of_adam_with_the_constants_of_hubert():
    model = torch.nn.Module()
    model.weight = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimiser = build_optimiser(model, dataclasses.replace(HUBERT, peak_lr=0.1))
    set_lr(optimiser, 0.1)
    p, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    # Of the size of eps, and far above it.
    for step, gradient in enumerate(([3e-6, 0.5], [-1e-6, 0.1], [2e-6, -0.2]), start=1):
        model.weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimiser.step()
        g = np.array(gradient)
        m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g**2
        mean, deviation = m / (1 - 0.9**step), np.sqrt(v / (1 - 0.98**step))
        p = p - 0.1 * 0.01 * p - 0.1 * mean / (deviation + 1e-6)
        np.testing.assert_allclose(model.weight.detach().numpy(), p, rtol=1e-12)


def test_quantizers_have_a_learning_rate_of_their_own():
    model = quantized_copy(random_model(preset("hubert-tiny"), 0), "w1a1", noise_clips(0))
    optimiser = build_optimiser(model, dataclasses.replace(HUBERT, quantizer_lr_factor=0.25))
    set_lr(optimiser, 0.1)
    assert [group["lr"] for group in optimiser.param_groups] == [0.1, 0.025]


def test_gradients_reach_every_parameter_of_a_binarized_model():
    model = quantized_copy(random_model(preset("hubert-tiny"), 0), "w1a1", noise_clips(0))
    wave = torch.from_numpy(noise_clips(5, n_clips=1)[0])[None]
    mask = torch.zeros(1, 99, dtype=torch.bool)
    mask[:, 10:20] = True
    model(wave, mask_BT=mask).states[-1].square().sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None]
    assert silent == []
