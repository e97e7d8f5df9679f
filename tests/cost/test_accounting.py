"""Yeh et al.'s storage column, and what their rule leaves out."""

from dataclasses import replace

import pytest
from by_hand import plan

from earbit.cost.profile import Profile, leaves_of_config, profile_model
from earbit.errors import ConfigError
from earbit.model import ModelConfig
from earbit.nn.precision import Precision
from earbit.presets import preset
from earbit.quantize.plan import plan_named


def base_with_64_taps() -> ModelConfig:
    base = preset("hubert-base")
    return replace(base, encoder=replace(base.encoder, position_kernel=64))


def as_yeh(config: ModelConfig, plan: str) -> Profile:
    precisions = plan_named(plan).precisions(leaves_of_config(config))
    return profile_model(
        config,
        precisions,
        n_samples=16_000,
        name="m",
        plan=plan,
        rest_bits=16,
        accounting="yeh",
        devices=(),
    )


@pytest.mark.parametrize(
    ("plan", "megabytes"), [("fp32", 184.42), ("w1a1", 25.17), ("w2a2", 35.78), ("w1a2", 25.17)]
)
def test_hubert_base_with_64_taps_takes_what_yeh_et_al_print(plan, megabytes):
    # They print 184.42, 25.23 and 35.84: 30,000 numbers more in both quantized rows.
    found = as_yeh(base_with_64_taps(), plan)
    assert round(found.storage_bits / 8e6, 2) == megabytes
    assert found.total.parameters == 92_209_216


def test_only_matrices_of_the_layers_are_quantized_whatever_the_plan_says():
    config = base_with_64_taps()
    n_matrices = 12 * (4 * 768**2 + 2 * 768 * 3072)
    found = as_yeh(config, "w1a1")
    assert found.storage_bits == n_matrices + 16 * (92_209_216 - n_matrices)
    assert as_yeh(config, "w1a1-encoder").storage_bits == found.storage_bits
    assert {op.precision for op in found.ops if op.kind in ("conv1d", "matmul")} == {
        Precision(32, 32)
    }


def test_parts_and_modules_add_up_with_the_projection_to_the_units():
    found = as_yeh(preset("hubert-tiny"), "w1a1")
    assert sum(cost.parameters for cost in found.groups.values()) == found.total.parameters
    assert found.modules["head"].parameters == 96 * 256 + 256
    assert found.modules[""] == found.total


def test_a_float_format_that_does_not_exist_or_that_yeh_et_al_do_not_use_is_an_error():
    config = preset("hubert-tiny")
    precisions = plan(config)
    for rest_bits, accounting, words in (
        (8, "earbit", "rest_bits=8; accounting 'earbit' stores .* in 32 or 16 bits"),
        (32, "yeh", "rest_bits=32; accounting 'yeh' stores .* in 16 bits"),
        (16, "yehh", "accounting='yehh'; allowed: 'earbit', 'yeh'"),
    ):
        with pytest.raises(ConfigError, match=words):
            profile_model(
                config, precisions, name="m", plan="p", rest_bits=rest_bits, accounting=accounting
            )
