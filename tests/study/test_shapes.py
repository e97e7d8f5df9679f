"""Encoders of a study from files."""

import pytest

from earbit.errors import ConfigError
from earbit.presets import preset
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
    assert scale.model("hubert-tiny") == preset("hubert-tiny")


def test_an_encoder_that_is_given_twice_is_taken_once(shape, capsys):
    names, _ = shapes_of([str(shape), str(shape)])
    assert names == ("narrow",)
    assert "given twice" in capsys.readouterr().err


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
