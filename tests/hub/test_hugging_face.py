"""HuBERT folders of Hugging Face, with transformers as the judge."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from earbit.cli.main import main
from earbit.errors import ConfigError, FormatError, UnsupportedError
from earbit.hub.verb import import_model
from earbit.load import load_model

transformers = pytest.importorskip("transformers")

SHAPE = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "conv_dim": (32,) * 7,
    "num_conv_pos_embeddings": 16,
}
VARIANTS = {
    "base": {},
    "large": {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True},
}


def hubert(variant, kind="HubertModel"):
    torch.manual_seed(0)
    model = getattr(transformers, kind)(transformers.HubertConfig(**SHAPE, **VARIANTS[variant]))
    with torch.no_grad():
        for parameter in model.parameters():
            # Away from ones and zeros, that a swapped name could not hide behind.
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model.eval()


@pytest.fixture(params=VARIANTS)
def saved(request, tmp_path):
    model = hubert(request.param)
    model.save_pretrained(tmp_path / "theirs")
    return model, tmp_path / "theirs"


def test_every_hidden_state_equals_that_of_transformers(saved, tmp_path):
    theirs, folder = saved
    import_model(folder, tmp_path / "ours")
    ours = load_model(tmp_path / "ours")
    wave = torch.randn(1, 8000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        output = theirs(wave, output_hidden_states=True)
        states = ours(wave).states
    # transformers 5 lists the last state of a pre-norm encoder without the norm behind it, versions
    # before 5 with it; `last_hidden_state` always has it.
    expected = [*output.hidden_states[:-1], output.last_hidden_state]
    assert len(states) == len(expected) == 4
    for state, other in zip(states, expected, strict=True):
        assert torch.allclose(state, other, atol=1e-5 * float(other.abs().max()))


def rewrite(folder, change):
    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors), folder / "model.safetensors", {"format": "pt"})


def old_weight_norm(tensors):
    at = "encoder.pos_conv_embed.conv."
    new = {"parametrizations.weight.original0": "weight_g"}
    new["parametrizations.weight.original1"] = "weight_v"
    for name, old in new.items():
        tensors[at + old] = tensors.pop(at + name)
    return tensors


def fused_weight(tensors):
    at = "encoder.pos_conv_embed.conv."
    gain, direction = (tensors.pop(f"{at}parametrizations.weight.original{i}") for i in (0, 1))
    size = direction.norm(dim=(0, 1), keepdim=True)
    return tensors | {f"{at}weight": gain * direction / size}


def task_model(tensors):
    prefixed = {f"hubert.{name}": tensor for name, tensor in tensors.items()}
    return prefixed | {"lm_head.weight": torch.zeros(5, 48), "lm_head.bias": torch.zeros(5)}


@pytest.mark.parametrize("change", [old_weight_norm, fused_weight, task_model])
def test_other_names_of_the_same_tensors_give_the_same_model(change, tmp_path):
    hubert("base").save_pretrained(tmp_path / "theirs")
    import_model(tmp_path / "theirs", tmp_path / "first")
    rewrite(tmp_path / "theirs", change)
    import_model(tmp_path / "theirs", tmp_path / "second")
    wave = torch.randn(1, 4000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        first, second = (load_model(tmp_path / n)(wave).states[-1] for n in ("first", "second"))
    assert torch.allclose(first, second, atol=1e-5)


def test_normalisation_is_that_of_the_feature_extractor(tmp_path):
    hubert("base").save_pretrained(tmp_path / "theirs")
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    extractor.save_pretrained(tmp_path / "theirs")
    result = import_model(tmp_path / "theirs", tmp_path / "ours")
    assert result["normalize_waveform"]
    ours = load_model(tmp_path / "ours")
    quiet = torch.randn(1, 4000, generator=torch.Generator().manual_seed(1)) * 0.1
    with torch.no_grad():
        assert torch.allclose(ours(quiet).states[-1], ours(7 * quiet).states[-1], atol=1e-3)


def test_an_imported_model_is_exported_in_8_bits_and_names_its_origin(tmp_path, capsys):
    hubert("base").save_pretrained(tmp_path / "theirs")
    main(["import", str(tmp_path / "theirs"), "--out", str(tmp_path / "ours"), "--json", "-"])
    result = json.loads(capsys.readouterr().out)
    assert result["origin"]["transformers"] == transformers.__version__
    assert len(result["origin"]["sha256"]) == 64
    out = tmp_path / "hubert.safetensors"
    main(["export", str(tmp_path / "ours"), "--plan", "w8a8", "--out", str(out), "--json", "-"])
    assert json.loads(capsys.readouterr().out)["agreement"]["bit_agreement"] > 0.999


def test_the_name_of_a_model_is_that_of_its_folder(tmp_path, monkeypatch):
    hubert("base").save_pretrained(tmp_path / "theirs")
    config = tmp_path / "theirs" / "config.json"
    base = {"_name_or_path": "/home/someone/hubert-base-ls960"}
    config.write_text(json.dumps(json.loads(config.read_text()) | base))
    monkeypatch.chdir(tmp_path / "theirs")
    result = import_model(Path("."), tmp_path / "ours")
    assert result["origin"]["name"] == "theirs"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("conv_kernel", [10, 3, 3, 3, 3, 2, 3]),
        ("hidden_act", "relu"),
        ("add_adapter", True),
        ("adapter_attn_dim", 16),
        ("num_conv_pos_embedding_groups", 8),
        ("feat_extract_norm", "batch"),
        ("conv_dim", [32, 32, 32, 32, 32, 32, 64]),
    ],
)
def test_what_our_model_cannot_express_is_refused_by_its_field(field, value, tmp_path):
    hubert("base").save_pretrained(tmp_path / "theirs")
    config = tmp_path / "theirs" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {field: value}))
    with pytest.raises(UnsupportedError, match=f"{field}=.*; this model cannot be imported$"):
        import_model(tmp_path / "theirs", tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def without_a_norm(tensors):
    del tensors["encoder.layers.1.layer_norm.bias"]
    return tensors


def with_an_adapter(tensors):
    return tensors | {"adapter.proj.weight": torch.zeros(3)}


def of_another_width(tensors):
    return tensors | {"feature_projection.projection.bias": torch.zeros(47)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_a_norm, r"1 tensors missing: encoder\.layers\.1\.attention_norm\.bias"),
        (with_an_adapter, r"1 tensors unknown: adapter\.proj\.weight"),
        (of_another_width, r"of another shape: projection\.bias \(47,\) instead of \(48,\)"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change, message, tmp_path):
    hubert("base").save_pretrained(tmp_path / "theirs")
    rewrite(tmp_path / "theirs", change)
    with pytest.raises(FormatError, match=message):
        import_model(tmp_path / "theirs", tmp_path / "ours")


@pytest.mark.parametrize("is_zip", [True, False])
def test_weights_in_a_pickle_give_the_same_model(is_zip, tmp_path):
    model = hubert("base")
    model.save_pretrained(tmp_path / "theirs")
    import_model(tmp_path / "theirs", tmp_path / "first")
    (tmp_path / "theirs" / "model.safetensors").unlink()
    place = tmp_path / "theirs" / "pytorch_model.bin"
    torch.save(model.state_dict(), place, _use_new_zipfile_serialization=is_zip)
    import_model(tmp_path / "theirs", tmp_path / "second")
    assert_same_tensors(tmp_path / "first", tmp_path / "second")


def assert_same_tensors(first, second):
    others = load_model(second).state_dict()
    for name, tensor in load_model(first).state_dict().items():
        assert tensor.equal(others[name]), name


def test_weights_in_shards_give_the_same_model(tmp_path):
    model = hubert("large")
    model.save_pretrained(tmp_path / "theirs")
    import_model(tmp_path / "theirs", tmp_path / "first")
    shutil.rmtree(tmp_path / "theirs")
    model.save_pretrained(tmp_path / "theirs", max_shard_size="100KB")
    shards = sorted((tmp_path / "theirs").glob("model-*.safetensors"))
    assert len(shards) > 1
    import_model(tmp_path / "theirs", tmp_path / "second")
    assert_same_tensors(tmp_path / "first", tmp_path / "second")
    shards[0].unlink()
    with pytest.raises(FormatError, match=f"1 are not in the folder: {shards[0].name}"):
        import_model(tmp_path / "theirs", tmp_path / "third")


def test_a_shard_outside_of_the_folder_is_never_opened(tmp_path):
    hubert("base").save_pretrained(tmp_path / "theirs")
    weights = tmp_path / "theirs" / "model.safetensors"
    weights.rename(tmp_path / "outside.safetensors")
    index = tmp_path / "theirs" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "../outside.safetensors"}}))
    with pytest.raises(FormatError, match="not in the folder"):
        import_model(tmp_path / "theirs", tmp_path / "ours")


def test_tensors_of_pre_training_are_ignored_and_told(tmp_path, capsys):
    torch.manual_seed(0)
    small = {"num_codevectors_per_group": 4, "codevector_dim": 8, "proj_codevector_dim": 8}
    config = transformers.Wav2Vec2Config(**SHAPE, **small)
    transformers.Wav2Vec2ForPreTraining(config).save_pretrained(tmp_path / "theirs")
    result = import_model(tmp_path / "theirs", tmp_path / "ours")
    assert "quantizer.codevectors" in result["ignored"]
    assert len(result["ignored"]) == 7


@pytest.mark.parametrize("name", ["preprocessor_config.json", "processor_config.json"])
def test_another_sampling_rate_is_refused(name, tmp_path):
    hubert("base").save_pretrained(tmp_path / "theirs")
    described = {"do_normalize": True, "sampling_rate": 8000}
    if name.startswith("processor"):
        described = {"feature_extractor": described}
    (tmp_path / "theirs" / name).write_text(json.dumps(described))
    with pytest.raises(UnsupportedError, match="sampling_rate=8000; allowed: 16000"):
        import_model(tmp_path / "theirs", tmp_path / "ours")


def test_a_folder_of_another_model_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    with pytest.raises(FormatError, match="model of type 'whisper'; formats that can be imported"):
        import_model(tmp_path, tmp_path / "ours")


def test_a_model_is_never_overwritten(tmp_path):
    hubert("base").save_pretrained(tmp_path / "theirs")
    import_model(tmp_path / "theirs", tmp_path / "ours")
    before = (tmp_path / "ours" / "model.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "theirs")
    with pytest.raises(ConfigError, match="there is a model already"):
        import_model(tmp_path / "theirs", tmp_path / "ours")
    assert (tmp_path / "ours" / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("loudness_db", [-20, -50])
def test_quiet_audio_is_normalised_as_in_the_feature_extractor(loudness_db, tmp_path):
    theirs = hubert("large")
    theirs.save_pretrained(tmp_path / "theirs")
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    extractor.save_pretrained(tmp_path / "theirs")
    import_model(tmp_path / "theirs", tmp_path / "ours")
    ours = load_model(tmp_path / "ours")
    wave = torch.randn(6000, generator=torch.Generator().manual_seed(1)) * 10 ** (loudness_db / 20)
    read = extractor(wave.numpy(), sampling_rate=16_000, return_tensors="pt").input_values
    with torch.no_grad():
        expected = theirs(read).last_hidden_state
        padded = torch.stack([wave, wave])
        padded[1, 5000:] = 0
        state = ours(wave[None]).states[-1]
        in_a_batch = ours(padded, torch.tensor([6000, 5000])).states[-1][:1]
    tolerance = 1e-5 * float(expected.abs().max())
    assert torch.allclose(state, expected, atol=tolerance)
    assert torch.allclose(in_a_batch, expected, atol=2 * tolerance)
