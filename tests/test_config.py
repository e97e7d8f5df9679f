import dataclasses
from math import inf, nan

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from earbit.config import from_dict, load, override, save, settings_of, to_dict
from earbit.config_file import read
from earbit.encoders.sparseformer import SparseformerConfig, WindowConfig
from earbit.errors import ConfigError, DataError
from earbit.model import AudioModel, ModelConfig
from earbit.presets import PRESETS, preset
from earbit.pretrain.recipe import preset_recipe


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_json_and_yaml(name, tmp_path):
    config = preset(name)
    save(config, tmp_path / "config.json")
    (tmp_path / "config.yaml").write_text((tmp_path / "config.json").read_text())
    assert load(ModelConfig, tmp_path / "config.json") == config
    assert load(ModelConfig, tmp_path / "config.yaml") == config


@pytest.mark.parametrize("text", ["1e-05", "-1e-05", "1E5", "2.e+3", "1.0e-7"])
def test_an_exponent_without_a_point_is_a_number_in_yaml(text, tmp_path):
    (tmp_path / "a.yaml").write_text(f"x: {text}")
    assert read(tmp_path / "a.yaml") == {"x": float(text)}


def test_an_unknown_key_is_an_error_that_names_its_neighbour():
    tree = to_dict(preset("hubert-tiny"))
    tree["encoder"]["n_layer"] = 3
    with pytest.raises(ConfigError, match=r"config\.encoder: unknown key 'n_layer'.*n_layers"):
        from_dict(ModelConfig, tree)


def test_a_missing_key_is_named():
    tree = to_dict(preset("sparseformer-dn-tiny"))
    del tree["encoder"]["d_ffn"]
    with pytest.raises(ConfigError, match="d_ffn missing"):
        from_dict(ModelConfig, tree)


@pytest.mark.parametrize("value", ["12", 1.5, None, True, False, [3]])
def test_a_value_of_the_wrong_type_is_refused(value):
    tree = to_dict(preset("hubert-tiny"))
    tree["encoder"]["n_layers"] = value
    with pytest.raises(ConfigError, match="n_layers"):
        from_dict(ModelConfig, tree)


def test_an_unknown_member_of_a_union_lists_the_members():
    tree = to_dict(preset("hubert-tiny"))
    tree["encoder"]["type"] = "transformers"
    with pytest.raises(ConfigError, match="did you mean transformer"):
        from_dict(ModelConfig, tree)


def test_overrides_follow_a_path_and_are_typed():
    config = override(preset("hubert-tiny"), ["encoder.n_layers=5", "n_units=7"])
    assert (config.encoder.n_layers, config.n_units) == (5, 7)
    with pytest.raises(ConfigError, match="did you mean n_layers"):
        override(config, ["encoder.n_layer=5"])
    with pytest.raises(ConfigError, match="no '='"):
        override(config, ["encoder.n_layers"])


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("n_steps", "train.optimiser.n_steps or second.n_steps"),
        ("optimiser.n_steps", "train.optimiser.n_steps"),
        ("train.optimizer.n_steps", "train.optimiser.n_steps or second.n_steps"),
        ("n_channels", "model.front_end.n_channels"),
        ("encoder", "model.encoder"),
        ("train.sead", "seed"),
        ("train.n_stepz", "train.optimiser.n_steps or second.n_steps"),
    ],
)
def test_a_setting_without_its_path_names_the_path(path, meant):
    with pytest.raises(ConfigError) as error:
        override(preset_recipe("hubert-tiny"), [f"{path}=30"])
    assert str(error.value).endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize(
    ("setting", "allowed"),
    [
        ("train.optimiser.n_steps=abc", "'abc'; allowed: a whole number"),
        ("train.optimiser.n_steps=true", "True; allowed: a whole number"),
        ("train.optimiser.peak_lr=abc", "'abc'; allowed: a number"),
        ("train.optimiser.peak_lr=1e999", "inf; allowed: a finite number"),
        ("resplit=3", "3; allowed: true or false"),
        ("corpus=3", "3; allowed: text"),
        ("model.n_units=many", "'many'; allowed: a whole number or null"),
        ("train=3", "3; allowed: a mapping with the fields of TrainConfig"),
    ],
)
def test_a_value_of_the_wrong_type_names_what_is_allowed(setting, allowed):
    with pytest.raises(ConfigError) as error:
        override(preset_recipe("hubert-tiny"), [setting])
    assert str(error.value) == f"config.{setting.partition('=')[0]}: {allowed}"


def test_an_unreadable_file_is_a_config_error(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "broken.yaml").write_text("a: [")
    for name in ("broken.json", "broken.yaml", "missing.json"):
        with pytest.raises(ConfigError, match=name):
            load(ModelConfig, tmp_path / name)


@pytest.mark.parametrize("text", ["[" * 100_000, "x: " + "[" * 100_000])
@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_a_file_nested_too_deeply_to_read_is_a_config_error(text, suffix, tmp_path):
    path = tmp_path / f"deep{suffix}"
    path.write_text(text)
    with pytest.raises(ConfigError, match="deep"):
        load(ModelConfig, path)


def test_saving_into_a_folder_that_is_not_there_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        save(preset("hubert-tiny"), tmp_path / "nowhere" / "config.json")


@given(st.integers(1, 8), st.integers(1, 12), st.integers(1, 64))
def test_any_legal_config_round_trips(n_heads, width_per_head, window):
    encoder = SparseformerConfig(
        n_layers=2,
        d_model=16 * n_heads * width_per_head,
        n_heads=n_heads,
        d_ffn=8,
        pattern=WindowConfig(frames=window),
    )
    config = dataclasses.replace(preset("hubert-tiny"), encoder=encoder)
    assert from_dict(ModelConfig, to_dict(config)) == config


def test_heads_that_do_not_divide_the_width_name_the_nearest_that_fits():
    with pytest.raises(ConfigError, match="d_model=100 is not a multiple of both n_heads=8.*is 96"):
        override(preset("hubert-tiny"), ["encoder.d_model=100", "encoder.n_heads=8"])


IMPOSSIBLE = [
    ("encoder.n_layers", 0),
    ("encoder.n_layers", 10**9),
    ("encoder.d_model", 0),
    ("encoder.d_model", 100),
    ("encoder.d_model", 2**20),
    ("encoder.n_heads", 0),
    ("encoder.n_heads", 5),
    ("encoder.d_ffn", -1),
    ("encoder.position_kernel", -4),
    ("encoder.dropout", 7.0),
    ("encoder.dropout", -0.1),
    ("encoder.dropout", nan),
    ("encoder.dropout", 10**400),
    ("encoder.layer_drop", 1.0),
    ("encoder.pattern.frames", 0),
    ("front_end.n_channels", 0),
    ("n_units", 1),
    ("d_unit", 0),
    ("dropout_input", inf),
]


@pytest.mark.parametrize(("path", "value"), IMPOSSIBLE)
def test_a_model_that_cannot_be_built_is_refused_by_the_name_and_value_that_is_wrong(path, value):
    tree = to_dict(preset("sparseformer-dn-tiny"))
    *parents, last = path.split(".")
    node = tree
    for name in parents:
        node = node[name]
    node[last] = value
    with pytest.raises(ConfigError, match=f"{last}.*{str(value)[:60]}") as error:
        from_dict(ModelConfig, tree, where="file.json")
    assert str(error.value).startswith("file.json")


@pytest.mark.parametrize("name", ["hubert-tiny", "sparseformer-dn-tiny"])
def test_the_smallest_legal_numbers_build_a_model(name):
    smallest = {"n_layers": 1, "d_model": 16, "n_heads": 1, "d_ffn": 1, "position_kernel": 1}
    settings = [f"encoder.{key}={value}" for key, value in smallest.items()]
    config = override(preset(name), [*settings, "n_units=2", "d_unit=1", "front_end.n_channels=1"])
    assert AudioModel(config)(torch.zeros(1, 720)).states[-1].shape == (1, 2, 16)


@dataclasses.dataclass(frozen=True)
class NearConfig:
    frames: int = 3


@dataclasses.dataclass(frozen=True)
class StridedConfig:
    stride: int = 4


@pytest.mark.parametrize("kind", [NearConfig | StridedConfig, StridedConfig])
def test_the_name_of_a_kind_alone_is_that_kind_with_its_defaults(kind):
    assert from_dict(kind, "strided") == StridedConfig(stride=4)


@pytest.mark.parametrize("value", [3, "strode", {"frames": 3}, {"type": "strode"}])
def test_a_kind_that_is_not_there_is_refused_with_those_that_are(value):
    with pytest.raises(ConfigError, match="strided"):
        from_dict(NearConfig | StridedConfig, value)


@pytest.mark.parametrize("kind", ["fixed", "strided"])
def test_a_saved_pattern_that_was_removed_is_refused_with_the_one_that_remains(kind):
    tree = to_dict(preset("sparseformer-dn-tiny"))
    tree["encoder"]["pattern"] = {"type": kind, "stride": 32, "heads": "merged"}
    with pytest.raises(ConfigError, match=f"encoder.pattern.type: '{kind}', expected 'window'"):
        from_dict(ModelConfig, tree, where="file.json")
    with pytest.raises(ConfigError, match=f"pattern: '{kind}'.*WindowConfig"):
        override(preset("sparseformer-dn-tiny"), [f"encoder.pattern={kind}"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "*: w1a1", r"line 1: a name that begins with \* must be in quotes"),
        ("a.yaml", "a: 1\nb: 2\na: 3", "line 3: duplicate key 'a'"),
        ("a.json", '{"a": 1, "b": {"c": 2, "c": 3}}', "duplicate key 'c'"),
        ("a.yaml", "", "empty; write keys and values"),
        ("a.json", " ", "empty; write keys and values"),
    ],
)
def test_a_file_that_is_not_what_it_looks_like_says_why(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read(tmp_path / name)


def test_a_file_that_is_not_there_is_said_in_a_few_words(tmp_path):
    with pytest.raises(
        ConfigError, match=r"mine.json: cannot be read \(No such file or directory\)"
    ):
        read(tmp_path / "mine.json")


@pytest.mark.parametrize("long", ["x" * 10_000, list(range(5_000)), {"a": [1] * 5_000}])
def test_a_long_value_is_cut_in_its_message(long):
    with pytest.raises(ConfigError) as error:
        from_dict(int, long)
    assert len(str(error.value)) < 150
    assert repr(long)[:60] in str(error.value)


@pytest.mark.parametrize("text", ["2024", "true", "null", "[1]", '"quoted"', "my audio", "\udcff"])
def test_a_text_that_is_given_by_an_option_is_not_read_as_json(text):
    recipe = override(preset_recipe("hubert-tiny"), settings_of({"corpus": text, "units": None}))
    assert (recipe.corpus, recipe.units) == (text, None)


def test_values_that_are_given_by_options_keep_their_type():
    settings = settings_of({"resplit": True, "iterations": 2, "train.precision": "bf16"})
    recipe = override(preset_recipe("hubert-tiny"), settings)
    assert (recipe.resplit, recipe.iterations, recipe.train.precision) == (True, 2, "bf16")
