"""`earbit profile`: what it takes for a model and a plan, and what it refuses."""

import math
import re
from functools import partial
from pathlib import Path

import pytest
from by_hand import macs_by_role

from earbit.cli.main import main
from earbit.cost import verb
from earbit.cost.verb import configs_of, profile_as_the_paper, profile_models
from earbit.errors import ConfigError, FormatError
from earbit.load import random_model
from earbit.model_file import save_model
from earbit.nn.precision import W1A1
from earbit.presets import PRESETS, preset
from earbit.quantize.convert import convert


def test_every_model_is_profiled_under_every_plan():
    _, records = profile_models(["hubert-tiny", "sparseformer-dn-tiny"], ["fp32", "w1a1"])
    assert [(r["name"], r["plan"]) for r in records] == [
        ("hubert-tiny", "fp32"),
        ("hubert-tiny", "w1a1"),
        ("sparseformer-dn-tiny", "fp32"),
        ("sparseformer-dn-tiny", "w1a1"),
    ]
    # All but the first convolution and the projection fall from 32 x 32 bits to 1 x 1.
    n_float_macs = 499 * 64 * 96 + 31_999 * 64 * 10
    assert records[1]["bops"] == records[1]["macs"] + n_float_macs * (32 * 32 - 1)
    assert records[1]["macs"] == records[0]["macs"]


def test_no_name_means_every_preset(monkeypatch):
    names = ["hubert-tiny", "sparseformer-sw-tiny"]
    monkeypatch.setattr(verb, "PRESETS", {name: PRESETS[name] for name in names})
    text, records = profile_models([], seconds=0.5)
    assert [r["name"] for r in records] == names
    assert all(name in text for name in names)


def test_length_and_float_format_reach_the_profile():
    _, (record,) = profile_models(["hubert-tiny"], seconds=2.5, rest_bits=16)
    assert (record["seconds"], record["rest_bits"]) == (2.5, 16)
    assert record["storage_bytes"] == 2 * record["parameters"]


def test_settings_reach_every_model():
    _, records = profile_models(
        ["hubert-tiny", "conformer-tiny"], seconds=1, settings=["encoder.n_layers=1"]
    )
    _, plain = profile_models(["hubert-tiny", "conformer-tiny"], seconds=1)
    assert all(a["macs"] < b["macs"] for a, b in zip(records, plain, strict=True))
    with pytest.raises(ConfigError, match="unknown key 'layers'"):
        profile_models(["hubert-tiny"], settings=["encoder.layers=1"])


def test_yeh_et_al_count_in_fp16_unless_told_otherwise_which_is_an_error():
    _, (record,) = profile_models(["hubert-tiny"], ["w1a1"], accounting="yeh")
    assert (record["rest_bits"], record["accounting"]) == (16, "yeh")
    with pytest.raises(ConfigError, match=r"rest_bits=32; .*in 16 bits"):
        profile_models(["hubert-tiny"], accounting="yeh", rest_bits=32)


@pytest.mark.parametrize("depth", [-1, 17])
def test_a_depth_that_cannot_be_is_an_error(depth):
    with pytest.raises(ConfigError, match=f"modules={depth}; give a depth of 0"):
        profile_models(["hubert-tiny"], module_depth=depth)


@pytest.mark.parametrize(
    "profiled", [partial(profile_models, ["hubert-tiny"]), profile_as_the_paper], ids=["one", "all"]
)
@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.02499, 86_401.0, 1e305, math.nan, math.inf])
def test_a_length_that_cannot_be_is_an_error_in_seconds(seconds, profiled):
    allowed = r"0\.025 \(one frame\) to 86400 \(a day\)"
    words = rf"^seconds={re.escape(str(seconds))}; give the length of a clip, {allowed}$"
    with pytest.raises(ConfigError, match=words):
        profiled(seconds=seconds)


def test_the_shortest_clip_is_one_frame():
    _, (record,) = profile_models(["hubert-tiny"], seconds=0.025)
    assert record["macs"] == sum(macs_by_role(preset("hubert-tiny"), 400).values())


@pytest.mark.parametrize(
    "option",
    [
        ["hubert-tiny"],
        ["--plan", "fp32"],
        ["--plan", "w1a1", "w1a1-encoder"],
        ["--rest-bits", "16"],
        ["--accounting", "earbit"],
        ["--devices", "cortex-a76"],
        ["--modules", "2"],
        ["--set", "encoder.n_layers=1"],
        ["--figure", "cost.svg"],
    ],
    ids=" ".join,
)
def test_the_papers_table_refuses_what_it_chooses_itself(option, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["profile", *option, "--all"])
    assert exit_info.value.code == 2
    named = " ".join(option) if option[0].startswith("--") else f"models {option[0]}"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("earbit: --all chooses the models itself, and every option but ")
    assert line.endswith(f"; leave out {named}")


def test_everything_that_the_papers_table_refuses_is_named_at_once():
    others = {"models": ("hubert-tiny",), "--plan": (), "--modules": 3, "--figure": None}
    with pytest.raises(ConfigError, match=r"; leave out models hubert-tiny, --modules 3$"):
        profile_as_the_paper(others=others)


def test_unknown_models_and_plans_are_errors():
    with pytest.raises(ConfigError, match=r"neither a preset nor a model file; presets: hubert-b"):
        profile_models(["hubert-basic"])
    with pytest.raises(ConfigError, match="unknown plan 'w1a'"):
        profile_models(["hubert-tiny"], ["w1a"])


def test_a_damaged_model_file_is_an_error(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not a model")
    with pytest.raises(FormatError):
        profile_models([str(tmp_path)])


def test_a_quantized_model_is_profiled_as_it_is_and_refuses_another_plan(tmp_path):
    model = random_model(preset("hubert-tiny"), seed=0)
    convert(model, {"projection": W1A1})
    save_model(model, tmp_path / "model.safetensors", {"plan": "mine"})
    where = str(tmp_path)
    _, (plain,) = profile_models(["hubert-tiny"])
    _, (record,) = profile_models([where])
    assert record["plan"] == "mine"
    assert plain["bops"] - record["bops"] == 499 * 64 * 96 * (32 * 32 - 1)
    for other in ("w1a1", "fp32"):
        with pytest.raises(ConfigError, match=r"quantized by plan 'mine' already"):
            profile_models([where], [other])


def test_a_device_that_is_given_twice_is_listed_once():
    twice = profile_models(["hubert-tiny"], devices=["a100-fp32", "cortex-a76", "a100-fp32"])
    assert twice == profile_models(["hubert-tiny"], devices=["a100-fp32", "cortex-a76"])


@pytest.mark.parametrize("origin", [{}, {"plan": None}])
def test_a_quantized_model_whose_file_names_no_plan_is_not_labelled_float(origin, tmp_path):
    model = random_model(preset("hubert-tiny"), seed=0)
    convert(model, {"projection": W1A1})
    save_model(model, tmp_path / "model.safetensors", origin)
    _, (record,) = profile_models([str(tmp_path)])
    assert record["plan"] == "unknown"
    save_model(random_model(preset("hubert-tiny"), seed=0), tmp_path / "model.safetensors", origin)
    _, (record,) = profile_models([str(tmp_path)])
    assert record["plan"] == "fp32"


def test_a_full_precision_model_file_takes_plans_as_its_preset_does(tmp_path):
    save_model(random_model(preset("hubert-tiny"), seed=0), tmp_path / "model.safetensors", {})
    _, records = profile_models([str(tmp_path), "hubert-tiny"], ["fp32", "w1a1"])
    assert [r["bops"] for r in records[:2]] == [r["bops"] for r in records[2:]]


@pytest.mark.parametrize("called", [profile_models, configs_of])
def test_a_model_file_takes_no_settings(called, tmp_path):
    save_model(random_model(preset("hubert-tiny"), seed=0), tmp_path / "model.safetensors", {})
    told = f"--set encoder.n_layers=5 with {tmp_path}, whose configuration is what it was trained"
    with pytest.raises(ConfigError, match=re.escape(told)):
        called(["hubert-tiny", str(tmp_path)], settings=["encoder.n_layers=5"])


@pytest.mark.parametrize("name", ["x.pdf", "x.png", "-", "x"])
def test_a_picture_that_is_no_svg_is_refused_before_any_work(name):
    with pytest.raises(ConfigError, match=f"--figure {name}: the picture is SVG"):
        profile_models(["hubert-tiny"], [], figure=Path(name))


def test_an_unknown_device_is_told_of_this_cpu_too():
    with pytest.raises(ConfigError, match="this-cpu"):
        profile_models(["hubert-tiny"], [], devices=["foo"])
