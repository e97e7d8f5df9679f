"""Checkpoints of fairseq, WavLM, torchaudio and s3prl, with transformers as the judge."""

import dataclasses
from pathlib import Path

import pytest
import torch
from test_hugging_face_families import assert_equal_states, random_twin
from true_layouts import (
    DictConfig,
    Dictionary,
    fairseq_settings,
    fairseq_state,
    namespace,
    torchaudio_state,
    write_checkpoint,
)

from earbit.cli.main import main
from earbit.errors import ConfigError, FormatError, UnsupportedError
from earbit.hub.verb import import_model
from earbit.load import load_model
from earbit.model_names import require_model

LARGE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
HEAD = {"final_proj.weight": torch.zeros(8, 48), "label_embs_concat": torch.zeros(9, 8)}
TWINS = {
    "HuBERT Base": ("hubert", {}),
    "HuBERT Large": ("hubert", LARGE),
    "wav2vec 2.0": ("wav2vec2", {}),
    "batch norm": ("hubert", {"conv_pos_batch_norm": True}),
    "equal widths": ("hubert", {"conv_dim": (48,) * 7}),
}


def fairseq_new(model, normalize=False, **more):
    settings = fairseq_settings(model) | more
    cfg = {"common": {"seed": 1}, "model": settings, "task": {"normalize": normalize}}
    return {"cfg": cfg, "args": None, "model": fairseq_state(model) | HEAD, "extra_state": {}}


def fairseq_omegaconf(model, normalize=False):
    content = fairseq_new(model, normalize)
    task = {"dictionaries": [Dictionary(["<s>", "<pad>", "0", "1"])]}
    return content | {"cfg": DictConfig(content["cfg"]), "task_state": task}


def fairseq_old(model, normalize=False):
    args = namespace({"arch": "wav2vec2", "normalize": normalize, **fairseq_settings(model)})
    return {"args": args, "model": fairseq_state(model) | HEAD, "optimizer_history": []}


def fairseq_tuned(model, normalize=False):
    prefix = "w2v_encoder.w2v_model."
    state = {f"{prefix}{name}": tensor for name, tensor in fairseq_state(model).items()}
    inner = {"model": fairseq_settings(model), "task": {"normalize": normalize}}
    return {
        "cfg": {"model": {"_name": "wav2vec_ctc", "w2v_args": inner}, "task": {}},
        "model": state | {"w2v_encoder.proj.weight": torch.zeros(5, 48)},
    }


def s3prl(model, normalize=False):
    return {
        "task_cfg": {"normalize": normalize},
        "model_cfg": fairseq_settings(model),
        "model_weight": fairseq_state(model) | HEAD,
        "dictionaries_symbols": [["<s>"]],
    }


LAYOUTS = {
    "fairseq": fairseq_new,
    "fairseq with omegaconf": fairseq_omegaconf,
    "fairseq with args": fairseq_old,
    "fairseq, fine-tuned": fairseq_tuned,
    "s3prl": s3prl,
}


def assert_imported(content, theirs, tmp_path, **how):
    path = write_checkpoint(content, tmp_path / "theirs.pt", **how)
    result = import_model(path, tmp_path / "ours")
    assert_equal_states(theirs, load_model(tmp_path / "ours"))
    return result


@pytest.mark.parametrize("twin", TWINS)
def test_states_of_a_fairseq_checkpoint_equal_those_of_transformers(twin, tmp_path):
    family, settings = TWINS[twin]
    theirs = random_twin(family, **settings)
    content = fairseq_new(theirs)
    if twin == "equal widths":
        # fairseq then has no projection, which is the identity.
        with torch.no_grad():
            theirs.feature_projection.projection.weight.copy_(torch.eye(48))
            theirs.feature_projection.projection.bias.zero_()
        del content["model"]["post_extract_proj.weight"], content["model"]["post_extract_proj.bias"]
    result = assert_imported(content, theirs, tmp_path)
    assert result["ignored"] == list(HEAD)
    assert "layer_results" in result["states"]


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_model(layout, is_zip, tmp_path):
    theirs = random_twin("hubert")
    assert_imported(LAYOUTS[layout](theirs), theirs, tmp_path, is_zip=is_zip)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_normalisation_is_read_from_the_settings(layout, tmp_path):
    content = LAYOUTS[layout](random_twin("hubert"), normalize=True)
    path = write_checkpoint(content, tmp_path / "theirs.pt")
    assert import_model(path, tmp_path / "ours")["normalize_waveform"]


@pytest.mark.parametrize("layout", sorted({*LAYOUTS} - {"fairseq with omegaconf"}))
def test_audio_of_another_rate_is_refused(layout, tmp_path):
    content = LAYOUTS[layout](random_twin("hubert"))
    place = next(content[name] for name in ("task_cfg", "cfg", "args") if content.get(name))
    fields = place if isinstance(place, dict) else vars(place)
    fields.get("task", fields)["sample_rate"] = 8_000
    path = write_checkpoint(content, tmp_path / "theirs.pt")
    with pytest.raises(UnsupportedError, match="theirs.pt: sample_rate=8000; allowed: 16000"):
        import_model(path, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(value, tmp_path):
    content = fairseq_new(random_twin("hubert"))
    content["model"]["encoder.layer_norm.bias"][3] = value
    path = write_checkpoint(content, tmp_path / "theirs.pt")
    with pytest.raises(FormatError, match="1 tensors with values that are NaN or infinite: enc"):
        import_model(path, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize("settings", [{}, LARGE], ids=["base", "large"])
def test_a_checkpoint_of_wavlm_has_the_states_of_transformers(settings, tmp_path):
    theirs = random_twin("wavlm", num_buckets=12, max_bucket_distance=9, **settings)
    more = {"relative_position_embedding": True, "gru_rel_pos": True}
    cfg = fairseq_settings(theirs) | more | {"num_buckets": 12, "max_distance": 9}
    content = {"cfg": cfg, "model": fairseq_state(theirs)}
    assert assert_imported(content, theirs, tmp_path)["format"] == "checkpoint of WavLM"


@pytest.mark.parametrize("family", ["hubert", "wav2vec2", "wavlm"])
@pytest.mark.parametrize("prefix", ["", "wav2vec2."])
def test_settings_of_torchaudio_follow_from_shapes(family, prefix, tmp_path):
    more = {"num_buckets": 12} if family == "wavlm" else {"num_attention_heads": 1}
    theirs = random_twin(family, **more)
    mask = "mask_generator.mask_embedding"
    content = {
        name if name == mask else prefix + name: tensor
        for name, tensor in torchaudio_state(theirs).items()
    }
    content["aux.weight"] = torch.zeros(5, 48)
    result = assert_imported(content, theirs, tmp_path)
    assert result["ignored"] == ["aux.weight"]
    assert "post-norm layers" in result["assumed"]


def test_a_large_model_of_torchaudio_is_taken_as_pre_norm_and_normalized(tmp_path):
    theirs = random_twin("hubert", num_attention_heads=1, **LARGE)
    path = write_checkpoint(torchaudio_state(theirs), tmp_path / "theirs.pt")
    result = import_model(path, tmp_path / "ours")
    assert result["assumed"] == ["pre-norm layers", "1 heads", "waveform normalized"]
    model = load_model(tmp_path / "ours")
    model.config = dataclasses.replace(model.config, normalize_waveform=False)
    assert_equal_states(theirs, model)


def test_a_student_of_s3prl_has_the_states_of_transformers(tmp_path):
    theirs = random_twin("hubert", feat_proj_layer_norm=False, num_hidden_layers=2)
    settings = fairseq_settings(theirs)
    settings["extractor_conv_feature_layers"] = settings.pop("conv_feature_layers")
    content = {
        "Distiller": fairseq_state(theirs) | {"output_layer.0.weight": torch.zeros(9, 48)},
        "Config": {"distiller": settings | {"task_emb_type": "expand-last", "n_tasks": 3}},
        "Args": namespace({"seed": 1337}),
        "Epoch": 7,
    }
    result = assert_imported(content, theirs, tmp_path)
    assert result["ignored"] == ["output_layer.0.weight"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("layer_type", "conformer"),
        ("activation_fn", "relu"),
        ("extractor_mode", "group"),
        ("conv_pos_groups", 8),
        ("conv_feature_layers", "[(32,10,5)] * 7"),
        ("conv_feature_layers", "__import__('os').system('false')"),
        ("pos_conv_depth", 5),
    ],
)
def test_what_our_model_cannot_express_is_refused_by_its_field(field, value, tmp_path):
    content = fairseq_new(random_twin("hubert"), **{field: value})
    path = write_checkpoint(content, tmp_path / "theirs.pt")
    with pytest.raises(UnsupportedError, match=rf"theirs\.pt: {field}=.*; allowed: "):
        import_model(path, tmp_path / "ours")


def test_a_part_of_a_model_names_what_is_missing(tmp_path):
    content = fairseq_new(random_twin("hubert"))
    del content["model"]["encoder.layers.1.fc1.weight"]
    path = write_checkpoint(content, tmp_path / "theirs.pt")
    message = r"1 tensors missing: encoder\.layers\.1\.feed_forward\.intermediate\.weight"
    with pytest.raises(FormatError, match=message):
        import_model(path, tmp_path / "ours")


def test_a_fine_tuned_checkpoint_without_settings_says_which(tmp_path):
    content = fairseq_tuned(random_twin("hubert"))
    content["cfg"]["model"]["w2v_args"] = None
    path = write_checkpoint(content, tmp_path / "theirs.pt")
    with pytest.raises(FormatError, match="no settings of the encoder.*w2v_args"):
        import_model(path, tmp_path / "ours")


def test_another_checkpoint_of_pytorch_names_its_content(tmp_path):
    path = write_checkpoint({"vocoder": torch.zeros(3)}, tmp_path / "theirs.pt")
    with pytest.raises(FormatError, match="a PyTorch checkpoint with vocoder; formats that can"):
        import_model(path, tmp_path / "ours")


def test_a_file_of_a_folder_names_the_folder(tmp_path):
    random_twin("hubert").save_pretrained(tmp_path / "theirs")
    with pytest.raises(FormatError, match=f"give {tmp_path / 'theirs'}$"):
        import_model(tmp_path / "theirs" / "model.safetensors", tmp_path / "ours")


def test_a_name_of_the_hub_says_how_to_download_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    advice = (
        "hf download facebook/hubert-base-ls960 --local-dir hubert-base-ls960; then: "
        "earbit import hubert-base-ls960 --out DIR"
    )
    with pytest.raises(FormatError, match=advice):
        import_model(Path("facebook/hubert-base-ls960"), tmp_path / "ours")
    with pytest.raises(ConfigError, match=advice):
        require_model("facebook/hubert-base-ls960")


def test_the_command_tells_states_assumptions_and_what_it_ignored(tmp_path, capsys):
    content = torchaudio_state(random_twin("hubert")) | {"aux.bias": torch.zeros(5)}
    path = write_checkpoint(content, tmp_path / "theirs.pt")
    main(["import", str(path), "--out", str(tmp_path / "ours")])
    told = capsys.readouterr().out
    assert "state dict of torchaudio: 2 layers of width 48" in told
    assert "assumed, because the file has no settings: post-norm layers, 1 heads" in told
    assert "ignored: 1 tensors of a task (aux.bias)" in told
    assert "extract_features of torchaudio" in told
