import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earbit.config import from_dict, load, override, save, to_dict
from earbit.encoders.sparseformer import SparseformerConfig
from earbit.errors import ConfigError
from earbit.model import ModelConfig
from earbit.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_json_and_yaml(name, tmp_path):
    config = preset(name)
    save(config, tmp_path / "config.json")
    (tmp_path / "config.yaml").write_text((tmp_path / "config.json").read_text())
    assert load(ModelConfig, tmp_path / "config.json") == config
    assert load(ModelConfig, tmp_path / "config.yaml") == config


def test_an_unknown_key_is_an_error_that_names_its_neighbour():
    tree = to_dict(preset("hubert-tiny"))
    tree["encoder"]["n_layer"] = 3
    with pytest.raises(ConfigError, match=r"config\.encoder: unknown key 'n_layer'.*n_layers"):
        from_dict(ModelConfig, tree)


def test_a_missing_key_is_named():
    tree = to_dict(preset("sparseformer-dn-tiny"))
    del tree["encoder"]["window_frames"]
    with pytest.raises(ConfigError, match="window_frames missing"):
        from_dict(ModelConfig, tree)


@pytest.mark.parametrize("value", ["12", 1.5, None, True, [3]])
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


def test_an_unreadable_file_is_a_config_error(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "broken.yaml").write_text("a: [")
    for name in ("broken.json", "broken.yaml", "missing.json"):
        with pytest.raises(ConfigError, match=name):
            load(ModelConfig, tmp_path / name)


@given(st.integers(1, 8), st.integers(1, 12), st.integers(1, 64))
def test_any_legal_config_round_trips(n_heads, width_per_head, window):
    encoder = SparseformerConfig(
        n_layers=2,
        d_model=n_heads * width_per_head,
        n_heads=n_heads,
        d_ffn=8,
        window_frames=window,
    )
    config = dataclasses.replace(preset("hubert-tiny"), encoder=encoder)
    assert from_dict(ModelConfig, to_dict(config)) == config


def test_heads_that_do_not_divide_the_width_name_the_nearest_that_fits():
    with pytest.raises(ConfigError, match="d_model=100 is not a multiple of n_heads=8.*is 96"):
        override(preset("hubert-tiny"), ["encoder.d_model=100", "encoder.n_heads=8"])
