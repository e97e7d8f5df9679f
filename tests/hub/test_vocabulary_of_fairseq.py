"""Heads with the vocabulary of fairseq, whose blank is `<s>` and which has a symbol `<pad>`."""

import json

import pytest
import torch
from test_hugging_face_families import random_twin
from true_layouts import Dictionary, fairseq_settings, fairseq_state, write_checkpoint

from earbit.errors import UnsupportedError
from earbit.hub.tokenizer import tokenizer_files
from earbit.hub.verb import import_model

transformers = pytest.importorskip("transformers")

TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "|", "E", "T"]


def test_a_symbol_of_the_name_of_the_blank_is_renamed():
    vocabulary = tokenizer_files(["<blank>", "<pad>", " ", "a"])["vocab.json"]
    assert vocabulary == {"<pad>": 0, "<fairseq-pad>": 1, "|": 2, "a": 3}
    with pytest.raises(UnsupportedError, match="'|' of the vocabulary has another meaning"):
        tokenizer_files(["<blank>", " ", "|"])


def test_a_fine_tuned_checkpoint_of_fairseq_is_exported_for_transformers(tmp_path):
    from earbit.hub.hf.export import export_hf

    theirs = random_twin("hubert")
    prefix = "w2v_encoder.w2v_model."
    state = {f"{prefix}{name}": tensor for name, tensor in fairseq_state(theirs).items()}
    weight = torch.randn(len(TOKENS), 48, generator=torch.Generator().manual_seed(0))
    head = {"w2v_encoder.proj.weight": weight, "w2v_encoder.proj.bias": torch.zeros(len(TOKENS))}
    content = {
        "cfg": {"model": {"w2v_args": {"model": fairseq_settings(theirs)}}},
        "model": state | head,
        "task_state": {"target_dictionary": Dictionary(TOKENS)},
    }
    import_model(write_checkpoint(content, tmp_path / "theirs.pt"), tmp_path / "ours")
    export_hf(str(tmp_path / "ours"), tmp_path / "out", head=tmp_path / "ours")
    vocabulary = json.loads((tmp_path / "out" / "vocab.json").read_text())
    assert list(vocabulary) == ["<pad>", "<fairseq-pad>", *TOKENS[2:]]
    again = transformers.HubertForCTC.from_pretrained(tmp_path / "out")
    assert torch.equal(again.lm_head.weight, weight)
