"""What people and programs read."""

import json
from dataclasses import replace
from functools import cache

import pytest

from earbit.cost.devices import DEVICES
from earbit.cost.profile import Profile, profile_model
from earbit.cost.records import to_json
from earbit.cost.table import render
from earbit.errors import ConfigError
from earbit.nn.precision import W1A1
from earbit.presets import preset


@cache
def tiny(name: str = "hubert-tiny", **settings) -> Profile:
    return profile_model(preset(name), {}, name=name, plan="fp32", **settings)


def rows_of(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_the_table_has_figures_ratios_and_parts_of_every_model():
    text = render([tiny(), tiny("sparseformer-dn-tiny")])
    rows = [row for row in rows_of(text) if row[:2] == ["sparseformer-dn-tiny", "fp32"]]
    dense, sparse = tiny().total, tiny("sparseformer-dn-tiny").total
    figures, ratios, times, parts = (row[2:] for row in rows)
    assert figures[:4] == [
        f"{sparse.parameters / 1e6:.3f}",
        f"{sparse.parameters * 4 / 1e6:.2f}",
        f"{sparse.parameters * 2 / 1e6:.2f}",
        f"{sparse.macs / 1e9:.3f}",
    ]
    assert ratios[3] == f"{dense.macs / sparse.macs:.2f}"
    assert times[0] == f"{sparse.estimates['a100-fp32'].ms:.4g}"
    assert len(times) == len(sparse.estimates) == 6
    assert len(parts) == 2 * 6


def test_the_first_row_is_one_times_itself():
    ratios = rows_of(render([tiny()]))[4]
    assert set(ratios[2:]) == {"1.00"}


@pytest.mark.parametrize(
    "words",
    [
        "input: One clip of 10 s (160000 samples).",
        "MAC: ",
        "FLOP: Two per MAC",
        "BOP: Each MAC counts the bits",
        "MB fp32, MB fp16: Stored numbers in 10^6 bytes.",
        "Values that are not quantized, including scales and shifts, have this format.",
        "Compute-bound time of the products at the rates below. It is not measured.",
        "a100-fp32: 1-bit 4992, 4-bit 1248, 8-bit 624, float 19.5;",
        "h200-fp16: 8-bit 1979, float 989.5 (NVIDIA H200 SXM data sheet",
        "act. MB: Peak memory of activations.",
    ],
)
def test_every_unit_is_explained_below_the_table(words):
    assert words in render([tiny()])


def test_modules_are_shown_and_listed_to_the_depth_that_is_asked_for():
    rows = rows_of(render([tiny()], module_depth=3))
    layer = tiny().modules["encoder.layers.1"]
    (row,) = [row for row in rows if row and row[0] == "encoder.layers.1"]
    assert row[1] == f"{layer.parameters / 1e6:.3f}"
    assert row[-1] == f"{layer.estimates['cortex-a76'].ms:.4g}"
    assert not any(row and row[0].startswith("encoder.layers.1.") for row in rows)
    (record,) = to_json([tiny()], module_depth=3)
    (listed,) = [m for m in record["modules"] if m["module"] == "encoder.layers.1"]
    assert listed["bops"] == layer.bops
    assert listed["storage_bits"] == {
        "fp32": 32 * layer.parameters,
        "fp16": 16 * layer.parameters,
    }
    assert to_json([tiny()])[0]["modules"] == []


@pytest.mark.parametrize("rest_bits", [32, 16])
def test_storage_stands_in_both_float_formats_whichever_the_record_has(rest_bits):
    profile = tiny(rest_bits=rest_bits)
    assert render([profile]) == render([tiny()])
    (record,) = to_json([profile])
    assert record["storage_bytes"] * 8 == record["storage_bits"][f"fp{rest_bits}"]


def test_storage_as_yeh_et_al_count_it_stands_in_their_format_alone():
    text = render([tiny(accounting="yeh")])
    assert "MB fp16: Stored numbers in 10^6 bytes. As in Yeh et al." in text
    assert "MB fp32" not in text


def test_an_operation_without_a_formula_is_shown_in_the_table_and_the_record():
    profile = replace(tiny(), unknown_ops={"aten.cumsum": 3})
    assert "NOT COUNTED in hubert-tiny fp32: aten.cumsum x3" in render([profile])
    assert to_json([profile])[0]["unknown_ops"] == {"aten.cumsum": 3}
    assert "NOT COUNTED" not in render([tiny()])


def test_profiles_of_different_clips_or_accountings_share_no_table():
    with pytest.raises(ConfigError, match="n_samples"):
        render([tiny(), tiny(n_samples=16_000)])
    with pytest.raises(ConfigError, match="accounting"):
        render([tiny(), tiny(accounting="yeh")])
    with pytest.raises(ConfigError, match="no profile"):
        render([])


def test_a_record_is_json_with_the_promised_keys_in_whole_numbers():
    precisions = {"projection": W1A1}
    profile = profile_model(
        preset("hubert-tiny"), precisions, n_samples=8_000, name="hubert-tiny", plan="mine"
    )
    (record,) = json.loads(json.dumps(to_json([profile])))
    promised = ["name", "plan", "parameters", "storage_bytes", "macs", "flops", "bops"]
    assert list(record)[:8] == [*promised, "estimate_ms"]
    assert all(isinstance(record[key], int) for key in promised[2:])
    assert record["name"] == "hubert-tiny"
    assert record["plan"] == "mine"
    assert record["seconds"] == 0.5
    assert record["storage_bytes"] == -(-profile.storage_bits // 8)
    assert set(record["estimate_ms"]) == set(DEVICES)
    assert sum(part["macs"] for part in record["groups"].values()) == record["macs"]
