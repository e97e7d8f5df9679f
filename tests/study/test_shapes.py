"""Encoders of a study from files."""

import json

import pytest

from earbit.config import from_dict
from earbit.errors import ConfigError
from earbit.model import ModelConfig
from earbit.model_names import require_shape
from earbit.presets import preset
from earbit.study.request import Request, Served
from earbit.study.results import Results
from earbit.study.scale import changed, scale_named
from earbit.study.shapes import shapes_of

SHAPE = (
    "encoder: {type: conformer, n_layers: 2, d_model: 64, n_heads: 4, d_ffn: 128}\n"
    "front_end: {type: filterbank}\n"
)


@pytest.fixture
def shape(tmp_path):
    path = tmp_path / "narrow.yaml"
    path.write_text(SHAPE, encoding="utf-8")
    return path


def test_an_encoder_of_a_file_has_its_name_and_its_shape(shape):
    names, shapes = shapes_of(["hubert-tiny", str(shape)])
    scale = changed(scale_named("tiny"), encoders=names, shapes=shapes)
    assert names == ("hubert-tiny", "narrow")
    assert scale.recipe("narrow", "synthetic", 0).model.encoder.d_model == 64
    tiny = scale.recipe("hubert-tiny", "synthetic", 0).model
    assert tiny.encoder == preset("hubert-tiny").encoder


def test_an_encoder_that_is_given_twice_is_taken_once(shape, capsys):
    names, _ = shapes_of([str(shape), str(shape)])
    assert names == ("narrow",)
    assert "given twice" in capsys.readouterr().err


@pytest.mark.parametrize("scale", ["tiny", "small", "full"])
@pytest.mark.parametrize("front_end", ["{type: filterbank}", "{n_channels: 32}"])
def test_every_scale_keeps_the_front_end_of_a_file(tmp_path, scale, front_end):
    path = tmp_path / "own.yaml"
    path.write_text(SHAPE.replace("{type: filterbank}", front_end), encoding="utf-8")
    names, shapes = shapes_of([str(path)])
    recipe = changed(scale_named(scale), encoders=names, shapes=shapes).recipe("own", "x", 0)
    assert recipe.model == shapes["own"]


def test_a_setting_of_the_user_changes_a_file_too(shape):
    names, shapes = shapes_of([str(shape)])
    settings = ["model.encoder.d_ffn=256"]
    scale = changed(scale_named("tiny"), encoders=names, shapes=shapes, settings=settings)
    assert scale.recipe("narrow", "x", 0).model.encoder.d_ffn == 256


def test_an_encoder_that_is_given_by_two_paths_is_taken_once(shape):
    names, _ = shapes_of([str(shape), f"{shape.parent}/./{shape.name}"])
    assert names == ("narrow",)


@pytest.mark.parametrize("name", ["fbank.yaml", "...yaml", "a b.yaml", "-x.yaml"])
def test_a_file_whose_name_cannot_be_that_of_an_encoder_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_text(SHAPE, encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be the name of an encoder; allowed"):
        shapes_of([str(path)])


def test_a_number_of_units_in_a_file_is_refused(shape):
    shape.write_text(SHAPE + "n_units: 7\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="n_units=7; leave it out"):
        shapes_of([str(shape)])


def test_a_missing_file_and_an_unknown_preset_are_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(ConfigError, match="not found; give a preset"):
        require_shape(str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match="unknown preset 'hubert-huge'"):
        require_shape("hubert-huge")


def test_the_results_have_the_shape_so_that_it_can_be_read_again(shape):
    names, shapes = shapes_of([str(shape)])
    request = Request(
        scale_name="tiny", scale=changed(scale_named("tiny"), encoders=names, shapes=shapes)
    )
    settings = Results(request, Served({}, {}, {}, {}), "digest", [], {}).as_dict(0.0)["settings"]
    kept = json.loads(json.dumps(settings["scale_settings"]["shapes"]))
    assert {name: from_dict(ModelConfig, value) for name, value in kept.items()} == shapes


def test_the_results_have_types_and_layers_with_the_settings_of_the_user(shape):
    names, shapes = shapes_of(["hubert-tiny", str(shape)])
    settings = ["model.encoder.n_layers=1"]
    scale = changed(scale_named("tiny"), encoders=names, shapes=shapes, settings=settings)
    request = Request(scale_name="tiny", scale=scale)
    results = Results(request, Served({}, {}, {}, {}), "digest", [], {}).as_dict(0.0)
    assert results["settings"]["shapes"] == {
        "hubert-tiny": {"type": "transformer", "n_layers": 1},
        "narrow": {"type": "conformer", "n_layers": 1},
    }


@pytest.mark.parametrize("name", ["narrow.yaml", "hubert-tiny.yaml"])
def test_two_encoders_with_one_name_are_refused(shape, tmp_path, name):
    other = tmp_path / "other" / name
    other.parent.mkdir()
    other.write_text(SHAPE, encoding="utf-8")
    with pytest.raises(ConfigError, match="has the name"):
        shapes_of([str(shape), str(other)])


def test_an_unknown_field_of_a_shape_is_named(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(SHAPE.replace("d_ffn", "d_fnn"), encoding="utf-8")
    with pytest.raises(ConfigError, match="d_fnn"):
        shapes_of([str(path)])
