"""Folders that `earbit export --format` and `earbit import` write to: nothing in them is lost."""

import json

import pytest
import soundfile

from earbit.errors import ConfigError
from earbit.hub.verb import import_model
from earbit.load import random_model
from earbit.model_file import save_model
from earbit.presets import preset
from earbit.quantize.student import noise_clips

transformers = pytest.importorskip("transformers")
from earbit.hub.hf.export import export_hf  # noqa: E402

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["hubert-tiny", "conformer-tiny"])
def test_a_checkpoint_of_transformers_is_never_replaced(name, tmp_path):
    transformers.HubertModel(transformers.HubertConfig(**SHAPE)).save_pretrained(tmp_path / "a")
    (tmp_path / "a" / "README.md").write_text("months of work\n")
    # A model trained on from an export, whose configuration transformers keeps.
    export_hf(name, tmp_path / "b")
    trained = transformers.AutoModel.from_pretrained(tmp_path / "b")
    next(trained.parameters()).data.add_(1)
    trained.save_pretrained(tmp_path / "b")
    for folder in (tmp_path / "a", tmp_path / "b"):
        before = contents(folder)
        with pytest.raises(ConfigError, match="holds files that no export of earbit wrote"):
            export_hf(name, folder)
        assert contents(folder) == before


@pytest.mark.parametrize("name", ["hubert-tiny", "conformer-tiny"])
def test_an_edited_model_card_survives_all_later_exports(name, tmp_path, capsys):
    card = tmp_path / "README.md"
    export_hf(name, tmp_path)
    first = card.read_text()
    assert "seed | 0 |" in first
    export_hf(name, tmp_path, seed=1)
    assert "seed | 1 |" in card.read_text()
    assert "kept" not in capsys.readouterr().err
    card.write_text(first + "Licence: MIT\n")
    for seed in (2, 3):
        export_hf(name, tmp_path, seed=seed)
        assert card.read_text() == first + "Licence: MIT\n"
        assert "README.md: kept, because it was edited" in capsys.readouterr().err
    origin = json.loads((tmp_path / "config.json").read_text())["earbit"]
    assert sorted(origin["files"]) == ["README.md", "model.safetensors"]


def test_no_path_of_this_machine_is_in_an_export(tmp_path):
    model, audio = tmp_path / "float", tmp_path / "audio"
    model.mkdir()
    audio.mkdir()
    soundfile.write(audio / "a.wav", noise_clips(0, n_clips=1)[0], 16_000)
    origin = {"stage": "pretrain", "recipe": {"corpus": str(tmp_path / "speech")}}
    hubert = random_model(preset("hubert-tiny"), 0).eval()
    save_model(hubert, model / "model.safetensors", origin)
    export_hf(str(model), tmp_path / "out", plan="w8a8", corpus=str(audio))
    written = [(tmp_path / "out" / name).read_text() for name in ("config.json", "README.md")]
    assert str(tmp_path) not in "".join(written)
    assert json.loads(written[0])["origin"]["recipe"] == {"corpus": "speech"}
    assert "| calibration | audio |" in written[1]


@pytest.mark.parametrize("name", ["head.safetensors", "scores.json", "config.json"])
def test_import_adds_nothing_to_a_folder_with_a_head_or_a_model_of_transformers(name, tmp_path):
    theirs, out = tmp_path / "theirs", tmp_path / "out"
    transformers.HubertModel(transformers.HubertConfig(**SHAPE)).save_pretrained(theirs)
    out.mkdir()
    (out / name).write_text('{"model_type": "hubert"}')
    before = contents(out)
    with pytest.raises(ConfigError, match=f"{name}: .*give another --out"):
        import_model(theirs, out)
    assert contents(out) == before
