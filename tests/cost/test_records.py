"""Every figure of a profile is in its record, under the name that programs rely on."""

from functools import cache

import pytest

from earbit.cost.cost import Cost
from earbit.cost.devices import devices_named
from earbit.cost.profile import Profile, profile_model
from earbit.cost.records import to_json
from earbit.nn.precision import W1A1
from earbit.presets import preset


@cache
def quantized() -> Profile:
    return profile_model(
        preset("hubert-tiny"),
        {"encoder.layers.0.feed_forward.output": W1A1},
        n_samples=8_000,
        name="hubert-tiny",
        plan="mine",
        devices=devices_named(["a100-fp16", "cortex-a76"]),
    )


def figures_of(cost: Cost) -> dict:
    return {
        "parameters": cost.parameters,
        "macs": cost.macs,
        "flops": cost.flops,
        "other_flops": cost.other_flops,
        "float_flops": cost.float_flops,
        "bops": cost.bops,
        "activation_bits": cost.activation_bits,
        "estimate_ms": {name: time.ms for name, time in cost.estimates.items()},
        "storage_bits": {"fp32": cost.storage_bits[32], "fp16": cost.storage_bits[16]},
    }


def test_the_total_the_parts_and_the_modules_have_every_figure():
    profile = quantized()
    (record,) = to_json([profile], module_depth=2)
    total = figures_of(profile.total)
    assert len(set(map(str, total.values()))) == len(total)
    assert {key: record[key] for key in total} == total
    assert record["groups"] == {part: figures_of(cost) for part, cost in profile.groups.items()}
    assert record["modules"]
    for module in record["modules"]:
        assert module.pop("module").count(".") < 2
    assert figures_of(profile.modules["encoder.layers"]) in record["modules"]


def test_every_estimate_has_the_source_of_its_rates():
    (record,) = to_json([quantized()])
    assert record["sources"].keys() == record["estimate_ms"].keys() == {"a100-fp16", "cortex-a76"}
    assert "NVIDIA A100" in record["sources"]["a100-fp16"]
    assert "Neoverse N1" in record["sources"]["cortex-a76"]


@pytest.mark.parametrize("n_profiles", [0, 1, 2])
def test_there_is_a_record_for_each_profile(n_profiles):
    assert len(to_json([quantized()] * n_profiles)) == n_profiles
