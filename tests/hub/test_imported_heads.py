"""Heads of Hugging Face folders: text and labels of programs equal those of transformers."""

import json

import numpy as np
import pytest
import soundfile
import torch
from test_hugging_face_families import FAMILIES, SHAPE
from true_layouts import Dictionary, fairseq_settings, fairseq_state, write_checkpoint

from earbit import Session
from earbit.cli.main import main
from earbit.hub.verb import import_model

transformers = pytest.importorskip("transformers")

TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "|", "E", "T", "'", "ß"]
"""The blank is not the first."""


def wave(seed=1, n_samples=12_000):
    return np.random.default_rng(seed).standard_normal(n_samples).astype(np.float32) * 0.1


def model_of(family, kind, **more):
    torch.manual_seed(0)
    name = FAMILIES[family]
    config = getattr(transformers, f"{name}Config")(**SHAPE, **more)
    model = getattr(transformers, f"{name}{kind}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model


def save_ctc(folder, family="hubert", **more):
    settings = {"vocab_size": len(TOKENS), "pad_token_id": 1, "bos_token_id": 0}
    model = model_of(family, "ForCTC", **settings, **more)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)  # so that the likeliest token changes from frame to frame
    model.save_pretrained(folder)
    vocabulary = folder.parent / "tokens.json"
    vocabulary.write_text(json.dumps({token: i for i, token in enumerate(TOKENS)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(vocabulary)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=False)
    transformers.Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    return model, tokenizer


def exported(folder, plan=()):
    main(["import", str(folder), "--out", str(folder.parent / "ours")])
    ours, out = str(folder.parent / "ours"), folder.parent / "program.safetensors"
    main(["export", ours, "--head", ours, *plan, "--out", str(out)])
    return Session(out)


@pytest.mark.parametrize("family", ["hubert", "wav2vec2"])
def test_a_program_gives_the_text_of_transformers(family, tmp_path):
    theirs, tokenizer = save_ctc(tmp_path / "theirs", family)
    with torch.no_grad():
        logits = theirs(torch.from_numpy(wave())[None]).logits[0]
    session = exported(tmp_path / "theirs")
    order = [1, 0, *range(2, len(TOKENS))]
    scores = session.scores(wave())
    assert np.allclose(scores, logits[:, order].numpy(), atol=1e-3 * float(logits.abs().max()))
    text = tokenizer.decode(logits.argmax(-1))
    assert len(text) > 3
    assert session.text(wave()) == text.strip()


def test_run_writes_the_text(tmp_path, capsys):
    save_ctc(tmp_path / "theirs")
    session = exported(tmp_path / "theirs")
    soundfile.write(tmp_path / "a.wav", wave(), 16_000, subtype="FLOAT")
    main(["run", str(tmp_path / "program.safetensors"), str(tmp_path / "a.wav"), "--json", "-"])
    told = capsys.readouterr().out
    assert json.loads(told[told.index("[\n") :])[0]["text"] == session.text(wave())


def test_the_head_also_serves_the_model_in_8_bits(tmp_path, capsys):
    save_ctc(tmp_path / "theirs")
    session = exported(tmp_path / "theirs", plan=("--plan", "w8a8"))
    assert session.kind == "sequence"
    assert "trained on the model before its quantization" in capsys.readouterr().err


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("family", ["hubert", "wav2vec2"])
def test_labels_and_scores_of_a_classifier_equal_those_of_transformers(family, weighted, tmp_path):
    more = {"id2label": {0: "yes", 1: "no", 2: "maybe"}, "use_weighted_layer_sum": weighted}
    theirs = model_of(family, "ForSequenceClassification", classifier_proj_size=8, **more)
    theirs.save_pretrained(tmp_path / "theirs")
    with torch.no_grad():
        logits = theirs(torch.from_numpy(wave())[None]).logits[0]
    session = exported(tmp_path / "theirs")
    assert session.labels == ("yes", "no", "maybe")
    assert np.allclose(session.scores(wave()), logits.numpy(), atol=1e-4)


def save_pre_norm(folder, version):
    """A classifier on a weighted sum of states in a folder of a version, and the expected scores.

    The sum has the last state behind the norm, as before version 5 of transformers.
    """
    more = {"use_weighted_layer_sum": True, "classifier_proj_size": 8, "num_labels": 3}
    theirs = model_of("hubert", "ForSequenceClassification", do_stable_layer_norm=True, **more)
    theirs.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"transformers_version": version}))
    with torch.no_grad():
        output = theirs.hubert(torch.from_numpy(wave())[None], output_hidden_states=True)
        states = torch.stack([*output.hidden_states[:-1], output.last_hidden_state])
        mean = (theirs.layer_weights.softmax(0)[:, None, None, None] * states).sum(0)
        return theirs.classifier(theirs.projector(mean).mean(1))[0]


def test_a_weighted_sum_of_pre_norm_states_is_that_of_transformers_4(tmp_path):
    expected = save_pre_norm(tmp_path / "theirs", "4.57.1")
    scores = exported(tmp_path / "theirs").scores(wave())
    assert np.allclose(scores, expected.numpy(), atol=1e-4)


def test_a_weighted_sum_of_pre_norm_states_of_transformers_5_is_left_out(tmp_path, capsys):
    save_pre_norm(tmp_path / "theirs", "5.0.0.dev0")
    result = import_model(tmp_path / "theirs", tmp_path / "ours")
    assert result["head"] is None
    assert {"layer_weights", "classifier.weight"} <= set(result["ignored"])
    said = "transformers_version='5.0.0.dev0' in config.json has a weighted sum with the last state"
    assert said in capsys.readouterr().err


def test_without_a_vocabulary_the_model_is_imported_alone(tmp_path, capsys):
    save_ctc(tmp_path / "theirs")
    (tmp_path / "theirs" / "vocab.json").unlink()
    result = import_model(tmp_path / "theirs", tmp_path / "ours")
    assert result["head"] is None
    assert result["ignored"] == ["lm_head.bias", "lm_head.weight"]
    assert "no vocab.json, so the CTC head has no symbols" in capsys.readouterr().err


def test_a_fine_tuned_checkpoint_of_fairseq_brings_its_letters(tmp_path):
    torch.manual_seed(0)
    theirs = model_of("hubert", "Model")
    weight = 5 * torch.randn(len(TOKENS), 48)
    state = fairseq_state(theirs)
    content = {
        "cfg": {"model": {"w2v_args": {"model": fairseq_settings(theirs)}}},
        "model": {
            **{f"w2v_encoder.w2v_model.{name}": tensor for name, tensor in state.items()},
            "w2v_encoder.proj.weight": weight,
            "w2v_encoder.proj.bias": torch.zeros(len(TOKENS)),
        },
        "task_state": {"target_dictionary": Dictionary(TOKENS)},
    }
    with torch.no_grad():
        state = theirs(torch.from_numpy(wave())[None]).last_hidden_state[0]
    best = (state @ weight.T).argmax(-1).unique_consecutive()
    expected = "".join(TOKENS[i] for i in best if i > 0).replace("|", " ").strip()
    session = exported(write_checkpoint(content, tmp_path / "theirs.pt"))
    assert session.text(wave()) == expected


@pytest.mark.parametrize("family", ["wavlm", "wav2vec2"])
def test_the_encoder_of_a_model_for_speakers_is_imported_without_labels(family, tmp_path, capsys):
    small = {"tdnn_dim": (8,) * 5, "xvector_output_dim": 8}
    model_of(family, "ForXVector", **small).save_pretrained(tmp_path / "theirs")
    result = import_model(tmp_path / "theirs", tmp_path / "ours")
    assert result["head"] is None
    assert {"projector.weight", "classifier.weight"} <= set(result["ignored"])
    said = f"architectures='{FAMILIES[family]}ForXVector', whose head is left out; heads that can"
    assert said in capsys.readouterr().err


def test_the_new_place_of_the_blank_is_said(tmp_path, capsys):
    save_ctc(tmp_path / "theirs")
    main(["import", str(tmp_path / "theirs"), "--out", str(tmp_path / "ours")])
    assert "the blank, output 1 of the source, is output 0" in capsys.readouterr().out
