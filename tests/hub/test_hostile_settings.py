"""Settings in files that would cost time or raise foreign errors; an error of earbit at most."""

import pytest
from test_checkpoints import fairseq_new
from test_hugging_face_families import random_twin
from true_layouts import write_checkpoint

from earbit.errors import EarbitError, FormatError, UnsupportedError, shown
from earbit.hub.checkpoint import fields
from earbit.hub.distiller_checkpoint import DISTILLER
from earbit.hub.fairseq_config import conv_channels, fairseq_config
from earbit.hub.hugging_face_config import config_of
from earbit.hub.verb import import_model


def doubled(n_levels):
    value = ["x"]
    for _ in range(n_levels):
        value = [value, value]
    return value


def deep(n_levels):
    value = []
    for _ in range(n_levels):
        value = [value]
    return value


HOSTILE = {"doubled": doubled(200), "deep": deep(100_000), "dictionary": {"a": doubled(200)}}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_message_about_a_hostile_value_is_short(name):
    assert len(shown(HOSTILE[name])) <= 80


def test_a_message_shows_short_values_as_repr():
    for value in ("a'b", [1, 2], {"b": 1}, (None, 0.5), list(range(20))):
        assert shown(value) == repr(value)
    assert shown("x" * 100) == "'" + "x" * 76 + "..."


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    "field",
    ["encoder_layers", "dropout", "extractor_mode", "activation_fn", "conv_feature_layers"],
)
def test_a_hostile_setting_is_refused(field, name, tmp_path):
    with pytest.raises(EarbitError) as error:
        fairseq_config(tmp_path, fields({field: HOSTILE[name]}), ())
    assert len(str(error.value)) < 1000
    assert field in str(error.value) or isinstance(error.value, FormatError)


def test_widths_are_read_from_text_alone(tmp_path):
    with pytest.raises(UnsupportedError, match="conv_feature_layers="):
        conv_channels(tmp_path, [(512, 10, 5)])


def test_a_hostile_setting_of_a_student_is_refused(tmp_path, monkeypatch):
    root = {"Config": {"distiller": {"task_emb_type": doubled(200)}}}
    monkeypatch.setattr("earbit.hub.distiller_checkpoint.top_level", lambda path: root)
    with pytest.raises(UnsupportedError, match="task_emb_type="):
        DISTILLER.read(tmp_path)


@pytest.mark.parametrize("field", ["conv_dim", "feat_extract_norm", "hidden_act"])
@pytest.mark.parametrize("value", [[], [[1]] * 7, {"a": []}, [[], 2, 2, 2, 2, 2, 2]])
def test_a_value_without_a_hash_is_refused(field, value, tmp_path):
    described = {"model_type": "hubert", "num_hidden_layers": 1, "hidden_size": 48}
    described |= {"num_attention_heads": 4, "intermediate_size": 64, field: value}
    with pytest.raises(EarbitError, match=r"conv_dim|n_channels|feat_extract_norm|hidden_act"):
        config_of(tmp_path, described, normalizes=False)


@pytest.mark.parametrize("name", ["doubled", "dictionary"])
@pytest.mark.parametrize("field", ["extractor_mode", "conv_feature_layers", "encoder_layers"])
def test_a_small_checkpoint_with_a_hostile_setting_is_refused(field, name, tmp_path):
    content = fairseq_new(random_twin("hubert"))
    content["cfg"]["model"][field] = HOSTILE[name]
    path = write_checkpoint(content, tmp_path / "theirs.pt")
    with pytest.raises(EarbitError) as error:
        import_model(path, tmp_path / "ours")
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 1000
    assert not (tmp_path / "ours").exists()
