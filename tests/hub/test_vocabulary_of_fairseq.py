"""Heads with the vocabulary of fairseq, whose blank is `<s>` and which has a symbol `<pad>`."""

import json

import pytest
import torch
from test_hugging_face_families import random_twin
from true_layouts import Dictionary, fairseq_settings, fairseq_state, write_checkpoint

from earbit.errors import UnsupportedError
from earbit.hub.tokenizer import tokenizer_files
from earbit.hub.verb import import_model
from earbit.superb.head_file import load_head

transformers = pytest.importorskip("transformers")

TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "|", "E", "T"]


def test_a_symbol_of_the_name_of_the_blank_is_renamed():
    vocabulary = tokenizer_files(["<blank>", "<pad>", " ", "a"])["vocab.json"]
    assert vocabulary == {"<pad>": 0, "<fairseq-pad>": 1, "|": 2, "a": 3}
    with pytest.raises(UnsupportedError, match="'|' of the vocabulary has another meaning"):
        tokenizer_files(["<blank>", " ", "|"])


def fine_tuned(path, tokens, **task):
    """A checkpoint with a head for tokens, and its weight."""
    theirs = random_twin("hubert")
    prefix = "w2v_encoder.w2v_model."
    state = {f"{prefix}{name}": tensor for name, tensor in fairseq_state(theirs).items()}
    weight = torch.randn(len(tokens), 48, generator=torch.Generator().manual_seed(0))
    head = {"w2v_encoder.proj.weight": weight, "w2v_encoder.proj.bias": torch.zeros(len(tokens))}
    inner = {"model": fairseq_settings(theirs), "task": {"labels": ["km"]}}
    content = {
        "cfg": {"model": {"w2v_args": inner}, "task": task},
        "model": state | head,
        "task_state": {"target_dictionary": Dictionary(tokens)},
    }
    return write_checkpoint(content, path), weight


def test_a_fine_tuned_checkpoint_of_fairseq_is_exported_for_transformers(tmp_path):
    from earbit.hub.hf.export import export_hf

    path, weight = fine_tuned(tmp_path / "theirs.pt", TOKENS)
    import_model(path, tmp_path / "ours")
    export_hf(str(tmp_path / "ours"), tmp_path / "out", head=tmp_path / "ours")
    vocabulary = json.loads((tmp_path / "out" / "vocab.json").read_text())
    assert list(vocabulary) == ["<pad>", "<fairseq-pad>", *TOKENS[2:]]
    again = transformers.HubertForCTC.from_pretrained(tmp_path / "out")
    assert torch.equal(again.lm_head.weight, weight)


@pytest.mark.parametrize(
    ("labels", "names"), [("phn", ("aa ", "t ")), ("ltr", ("aa", "t")), (None, ("aa", "t"))]
)
def test_phones_of_fairseq_are_known_by_the_suffix_of_their_label_files(labels, names, tmp_path):
    path, _ = fine_tuned(tmp_path / "theirs.pt", ["<s>", "aa", "t"], labels=labels)
    import_model(path, tmp_path / "ours")
    assert load_head(tmp_path / "ours").slots == (("<blank>", *names),)


@pytest.mark.parametrize("symbol", ["", "a" * 257])
def test_with_a_symbol_that_does_not_fit_the_model_is_imported_alone(symbol, tmp_path, capsys):
    path, _ = fine_tuned(tmp_path / "theirs.pt", ["<s>", "a", symbol])
    result = import_model(path, tmp_path / "ours")
    assert result["head"] is None
    assert "w2v_encoder.proj.weight" in result["ignored"]
    said = f"a symbol of {len(symbol)} characters; allowed: 1 to 256; the head is left out"
    assert f"{path}: {said}" in capsys.readouterr().err
