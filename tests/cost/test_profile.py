"""Profiles of whole models: plans, modules, what is refused."""

from dataclasses import replace

import pytest
import torch
from by_hand import ENCODER, frames_of, macs_by_role, plan, profile

from earbit.cost.profile import MAX_SAMPLES
from earbit.errors import ConfigError
from earbit.nn.precision import W1A1
from earbit.presets import PRESETS, preset

ALL_BUT_FIRST_CONV = (
    "front_end.convs.[1-6]",
    "projection",
    "encoder.position.conv",
    ENCODER,
)


@pytest.mark.parametrize(
    ("patterns", "n_float_macs", "tera"),
    [
        ((), 74_061_804_544, 75.84),
        ((ENCODER,), 24_539_032_576 + 499 * 768 * 512 + 2_354_577_408, 27.79),
        (ALL_BUT_FIRST_CONV, 31_999 * 512 * 10, 0.24),
    ],
    ids=["fp32", "encoder", "all-but-conv0"],
)
def test_bops_of_hubert_base_are_macs_times_both_widths(patterns, n_float_macs, tera):
    config = preset("hubert-base")
    total = profile(config, plan(config, *patterns)).total
    assert total.bops == 32 * 32 * n_float_macs + (total.macs - n_float_macs)
    assert round(total.bops / 1e12, 2) == tera


def test_float_flops_leave_out_products_that_have_a_quantized_operand_and_nothing_else():
    config = preset("hubert-base")
    total = profile(config, plan(config, *ALL_BUT_FIRST_CONV)).total
    assert total.float_flops == total.other_flops + 2 * 31_999 * 512 * 10
    assert total.flops == profile(config).total.float_flops == 2 * total.macs + total.other_flops


def test_a_plan_changes_bits_and_storage_and_no_count_of_operations():
    config = preset("sparseformer-dn-tiny")
    plain = profile(config).total
    binary = profile(config, plan(config, ENCODER)).total
    same = ("parameters", "macs", "other_flops", "flops")
    assert all(getattr(binary, figure) == getattr(plain, figure) for figure in same)
    assert binary.bops < plain.bops
    assert binary.activation_bits <= plain.activation_bits
    for device, time in plain.estimates.items():
        assert binary.estimates[device].ms < time.ms
    for bits, n_bits in plain.storage_bits.items():
        assert binary.storage_bits[bits] < n_bits


@pytest.mark.parametrize("name", PRESETS)
def test_every_operation_of_every_preset_has_a_formula(name):
    cost = profile(preset(name))
    assert not cost.unknown_ops
    for field in ("parameters", "macs", "other_flops", "flops", "float_flops", "bops"):
        parts = [getattr(part, field) for part in cost.groups.values()]
        assert getattr(cost.total, field) == sum(parts) > 0
    for bits in (32, 16):
        parts = [part.storage_bits[bits] for part in cost.groups.values()]
        assert cost.total.storage_bits[bits] == sum(parts) == bits * cost.total.parameters


def test_a_module_has_the_cost_of_all_that_is_inside_it():
    cost = profile(preset("hubert-tiny"))
    modules = cost.modules
    assert modules[""] == cost.total
    t, d, e = 499, 96, 384
    assert modules["encoder.layers.0"].macs == t * (4 * d * d + 2 * d * e) + 2 * t * t * d
    n_layers = sum(modules[f"encoder.layers.{i}"].parameters for i in range(3))
    assert modules["encoder.layers"].parameters == n_layers
    times = [modules[name].estimates["cortex-a76"].ms for name in ("front_end", "encoder")]
    times.append(modules["projection"].estimates["cortex-a76"].ms)
    assert sum(times) == pytest.approx(cost.total.estimates["cortex-a76"].ms)


def test_the_unit_head_is_no_part_of_the_cost_and_may_be_named():
    config = preset("hubert-tiny")
    with_head = replace(config, n_units=100)
    precisions = plan(with_head, "head.*", ENCODER)
    assert "head.projection" in precisions
    assert profile(with_head, precisions) == profile(config, plan(config, ENCODER))


def test_a_leaf_that_is_not_there_is_an_error_that_names_its_neighbours():
    with pytest.raises(ConfigError, match=r"no leaf 'projektion'.*did you mean projection"):
        profile(preset("hubert-tiny"), {"projektion": W1A1})


@pytest.mark.parametrize("n_samples", [-1, 0, 399, MAX_SAMPLES + 1])
def test_a_clip_that_cannot_be_profiled_is_an_error(n_samples):
    with pytest.raises(ConfigError, match=f"n_samples={n_samples}; give 400"):
        profile(preset("hubert-tiny"), n_samples=n_samples)


def test_a_day_of_audio_is_profiled_without_its_memory():
    t = frames_of(MAX_SAMPLES)[-1]
    attention = macs_by_role(preset("hubert-tiny"), MAX_SAMPLES)["attention"]
    assert attention == 3 * (4 * t * 96 * 96 + 2 * t * t * 96)


def test_profiling_leaves_the_random_state_alone():
    before = torch.random.get_rng_state()
    profile(preset("hubert-tiny"))
    assert torch.equal(torch.random.get_rng_state(), before)
