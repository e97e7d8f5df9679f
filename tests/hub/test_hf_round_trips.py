"""Ways between fairseq, earbit and transformers, which change no bit of a tensor."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from true_layouts import fairseq_settings, fairseq_state, write_checkpoint

from earbit.errors import ConfigError, FormatError
from earbit.export.prepared_model import model_of
from earbit.export.verb import export_model
from earbit.hub.verb import import_model
from earbit.load import load_model
from earbit.model_digest import weights_digest
from earbit.model_file import save_model
from earbit.runtime.session import Session
from earbit.superb.asr import ASR
from earbit.superb.head_file import load_head, save_head
from earbit.superb.pr import PR
from random_heads import head_for

transformers = pytest.importorskip("transformers")
from earbit.hub.hf.export import export_hf  # noqa: E402

SHAPE = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "conv_dim": (32,) * 7,
    "num_conv_pos_embeddings": 16,
}
VARIANTS = {
    "base": {},
    "large": {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True},
    "batch norm": {"conv_pos_batch_norm": True},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_fairseq_to_earbit_to_transformers_changes_no_bit(variant, tmp_path):
    torch.manual_seed(0)
    config = transformers.HubertConfig(**SHAPE, **VARIANTS[variant])
    model = transformers.HubertModel(config).eval()
    normalizes = variant == "large"
    content = {
        "cfg": {"model": fairseq_settings(model), "task": {"normalize": normalizes}},
        "model": fairseq_state(model),
    }
    path = write_checkpoint(content, tmp_path / "fairseq.pt")
    import_model(path, tmp_path / "ours")
    assert export_hf(str(tmp_path / "ours"), tmp_path / "theirs")["class"] == "HubertModel"
    again = transformers.HubertModel.from_pretrained(tmp_path / "theirs")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path / "theirs")
    assert extractor.do_normalize is normalizes


@pytest.mark.parametrize(
    ("name", "plan"),
    [("conformer-tiny", None), ("squeezeformer-tiny", "w8a8"), ("sparseformer-dn-tiny", "w1a1")],
)
def test_earbit_to_transformers_to_earbit_changes_no_bit_of_any_encoder_and_plan(
    name, plan, tmp_path
):
    model = model_of(name, plan=plan, seed=0)
    save_model(model, tmp_path / "model.safetensors", {"stage": "pretrain", "corpus": "abc"})
    head = head_for(model, tmp_path / "head", labels=("a", "b"))
    export_hf(str(tmp_path), tmp_path / "theirs", head=tmp_path / "head")
    theirs = transformers.AutoModelForAudioClassification.from_pretrained(tmp_path / "theirs")
    theirs.save_pretrained(tmp_path / "saved")
    result = import_model(tmp_path / "saved", tmp_path / "again")
    assert result["origin"]["corpus"] == "abc"
    assert result["ignored"] == []
    again = load_model(tmp_path / "again")
    assert weights_digest(again) == weights_digest(model)
    trained = load_head(tmp_path / "again")
    assert trained.outputs == ("a", "b")
    assert all(torch.equal(t, head.state_dict()[n]) for n, t in trained.head.state_dict().items())


@pytest.mark.parametrize("task", [PR, ASR], ids=lambda task: task.name)
def test_a_head_that_was_trained_in_transformers_comes_back_and_its_program_gives_its_scores(
    task, tmp_path
):
    model = model_of("conformer-tiny", plan=None, seed=0)
    save_model(model, tmp_path / "model.safetensors", {"stage": "pretrain"})
    symbols = ("<blank>", " ", "A", "B", "<pad>")
    head_for(model, tmp_path / "head", labels=symbols, task=task, d_hidden=16)
    export_hf(str(tmp_path), tmp_path / "theirs", head=tmp_path / "head")
    theirs = transformers.AutoModelForCTC.from_pretrained(tmp_path / "theirs")
    with torch.no_grad():  # a training of encoder and head
        theirs.earbit.network.projection.bias += 0.1
        theirs.head.output.bias += torch.linspace(-1, 1, 5)
    theirs.save_pretrained(tmp_path / "saved")
    transformers.AutoProcessor.from_pretrained(tmp_path / "theirs").save_pretrained(
        tmp_path / "saved"
    )
    result = import_model(tmp_path / "saved", tmp_path / "again")
    assert result["head"]["n_outputs"] == 5
    assert load_head(tmp_path / "again").outputs == symbols
    program = tmp_path / "p.safetensors"
    export_model(str(tmp_path / "again"), program, head=tmp_path / "again")
    audio = np.random.default_rng(0).normal(scale=0.1, size=16_000).astype(np.float32)
    logits = theirs.eval()(torch.from_numpy(audio)[None]).logits[0].detach().numpy()
    np.testing.assert_allclose(Session(program).scores(audio), logits, atol=2e-3)


@pytest.mark.parametrize(
    "vocabulary", [None, {"<pad>": 0}, {"eng": {"<pad>": 0}}, {"A": 0, "B": 1}]
)
def test_a_head_for_text_without_a_vocabulary_that_fits_is_left_out_with_a_line(
    vocabulary, tmp_path, capsys
):
    model = model_of("conformer-tiny", plan=None, seed=0)
    save_model(model, tmp_path / "model.safetensors", {"stage": "pretrain"})
    head_for(model, tmp_path / "head", labels=("<blank>", "A"), task=PR)
    export_hf(str(tmp_path), tmp_path / "theirs", head=tmp_path / "head")
    path = tmp_path / "theirs" / "vocab.json"
    path.unlink() if vocabulary is None else path.write_text(json.dumps(vocabulary))
    result = import_model(tmp_path / "theirs", tmp_path / "again")
    assert result["head"] is None
    assert all(name.startswith("head.") for name in result["ignored"])
    said = capsys.readouterr().err
    assert "vocab.json" in said
    assert "head for text" in said


@pytest.mark.parametrize("trained", ["nothing", "encoder", "head"])
def test_a_threshold_of_rejection_comes_back_unless_encoder_or_head_were_trained(
    trained, tmp_path, capsys
):
    model = model_of("conformer-tiny", plan=None, seed=0)
    save_model(model, tmp_path / "model.safetensors", {"stage": "pretrain"})
    head_for(model, tmp_path / "head", labels=("a", "b", "_none_"))
    path = tmp_path / "head" / "head.safetensors"
    save_head(path, replace(load_head(path), min_log_odds=1.5))
    export_hf(str(tmp_path), tmp_path / "theirs", head=tmp_path / "head")
    theirs = transformers.AutoModelForAudioClassification.from_pretrained(tmp_path / "theirs")
    with torch.no_grad():
        if trained == "encoder":
            theirs.earbit.network.projection.bias += 0.1
        if trained == "head":
            theirs.head.output.bias += 0.1
    theirs.save_pretrained(tmp_path / "saved")
    import_model(tmp_path / "saved", tmp_path / "again")
    is_kept = trained == "nothing"
    assert load_head(tmp_path / "again").min_log_odds == (1.5 if is_kept else None)
    assert ("threshold of rejection is left out" in capsys.readouterr().err) is not is_kept


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"head": 7}, "head=7; allowed: an object"),
        ({"head": {"network": "xvector"}}, "head.network='xvector'; heads of kind class"),
        ({"head": {"d_hidden": 9}}, "do not fit 2 outputs, hidden width 9"),
        ({"head": {"d_hidden": 10**9}}, "do not fit 2 outputs, hidden width 1000000000"),
        ({"id2label": [1]}, "id2label=.*allowed: names by number"),
    ],
)
def test_a_head_that_does_not_fit_its_configuration_is_named(changes, problem, tmp_path):
    model = model_of("conformer-tiny", plan=None, seed=0)
    save_model(model, tmp_path / "model.safetensors", {"stage": "pretrain"})
    head_for(model, tmp_path / "head", labels=("a", "b"))
    export_hf(str(tmp_path), tmp_path / "theirs", head=tmp_path / "head")
    path = tmp_path / "theirs" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(FormatError, match=problem):
        import_model(tmp_path / "theirs", tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_folder_in_half_precision_becomes_a_model_in_float32(dtype, tmp_path):
    export_hf("conformer-tiny", tmp_path / "a")
    half = transformers.AutoModel.from_pretrained(tmp_path / "a").to(dtype)
    half.save_pretrained(tmp_path / "b")
    import_model(tmp_path / "b", tmp_path / "ours")
    ours = load_model(tmp_path / "ours")
    for name, tensor in half.network.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor.float()), name
    assert torch.isfinite(ours(torch.randn(1, 8000)).states[-1]).all()


@pytest.mark.parametrize("origin", ["x", [1], 7])
def test_a_provenance_that_is_no_object_is_named(origin, tmp_path):
    export_hf("conformer-tiny", tmp_path / "a")
    path = tmp_path / "a" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"origin": origin}))
    with pytest.raises(FormatError, match=r"config\.json: origin=.*; allowed: an object"):
        import_model(tmp_path / "a", tmp_path / "ours")


def test_weights_of_another_configuration_are_named(tmp_path):
    for name in ("conformer-tiny", "sparseformer-dn-tiny"):
        export_hf(name, tmp_path / name)
    weights = "model.safetensors"
    (tmp_path / "conformer-tiny" / weights).replace(tmp_path / "sparseformer-dn-tiny" / weights)
    with pytest.raises(FormatError, match=r"tensors are missing.*such as encoder\.layers"):
        import_model(tmp_path / "sparseformer-dn-tiny", tmp_path / "out")


def test_a_fine_tuned_hubert_comes_back_with_its_head_and_vocabulary(tmp_path):
    torch.manual_seed(0)
    tokens = {"<pad>": 0, "<unk>": 1, "|": 2, "A": 3, "B": 4}
    config = transformers.HubertConfig(**SHAPE, vocab_size=len(tokens), pad_token_id=0)
    model = transformers.HubertForCTC(config).eval()
    model.save_pretrained(tmp_path / "first")
    (tmp_path / "first" / "vocab.json").write_text(json.dumps(tokens))
    import_model(tmp_path / "first", tmp_path / "ours")
    head = tmp_path / "ours"
    assert export_hf(str(head), tmp_path / "again", head=head)["class"] == "HubertForCTC"
    again = transformers.HubertForCTC.from_pretrained(tmp_path / "again")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert json.loads((tmp_path / "again" / "vocab.json").read_text()) == tokens


def import_ctc(folder):
    """Imports a HuBERT with a head to FOLDER/float."""
    torch.manual_seed(0)
    config = transformers.HubertConfig(**SHAPE, vocab_size=5, pad_token_id=0)
    transformers.HubertForCTC(config).save_pretrained(folder / "first")
    tokens = {"<pad>": 0, "<unk>": 1, "|": 2, "A": 3, "B": 4}
    (folder / "first" / "vocab.json").write_text(json.dumps(tokens))
    import_model(folder / "first", folder / "float")


def test_an_imported_head_serves_a_model_that_an_export_quantized(tmp_path):
    import_ctc(tmp_path)
    export_hf(str(tmp_path / "float"), tmp_path / "theirs", plan="w8a8")
    import_model(tmp_path / "theirs", tmp_path / "again")
    program = tmp_path / "p.safetensors"
    export_model(str(tmp_path / "again"), program, head=tmp_path / "float")
    assert Session(program).kind == "sequence"


@pytest.mark.parametrize("is_trained", [False, True])
def test_an_imported_head_serves_a_quantized_model_until_that_is_trained_in_transformers(
    is_trained, tmp_path
):
    import_ctc(tmp_path)
    quantized = model_of(str(tmp_path / "float"), plan="w8a8", seed=0)
    origin = {"ancestors": [weights_digest(load_model(tmp_path / "float"))]}
    (tmp_path / "q").mkdir()
    save_model(quantized, tmp_path / "q" / "model.safetensors", origin)
    export_hf(str(tmp_path / "q"), tmp_path / "theirs", head=tmp_path / "float")
    theirs = transformers.AutoModelForCTC.from_pretrained(tmp_path / "theirs")
    if is_trained:
        with torch.no_grad():
            theirs.earbit.network.projection.bias += 0.1
    theirs.save_pretrained(tmp_path / "saved")
    import_model(tmp_path / "saved", tmp_path / "again")
    program = tmp_path / "p.safetensors"
    if not is_trained:
        export_model(str(tmp_path / "again"), program, head=tmp_path / "float")
        return
    with pytest.raises(ConfigError, match="trained on a model with other weights"):
        export_model(str(tmp_path / "again"), program, head=tmp_path / "float")
