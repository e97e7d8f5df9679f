"""Heads of Hugging Face folders whose tensors do not fit are refused before a file is written."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_imported_heads import model_of, save_ctc

from earbit.errors import FormatError
from earbit.hub.heads import ctc_head
from earbit.hub.verb import import_model


def refused(folder, tensors, message):
    path = folder / "model.safetensors"
    save_file(load_file(path) | tensors, path, {"format": "pt"})
    with pytest.raises(FormatError, match=message):
        import_model(folder, folder.parent / "ours")
    assert not (folder.parent / "ours").exists()


@pytest.mark.parametrize("shape", [(9, 47), (9,), (9, 48, 1), (), (0, 48)])
def test_a_ctc_weight_of_another_shape_is_refused(shape, tmp_path):
    save_ctc(tmp_path / "theirs")
    refused(tmp_path / "theirs", {"lm_head.weight": torch.zeros(shape)}, r"lm_head\.weight")


def test_a_ctc_bias_of_another_length_is_refused(tmp_path):
    save_ctc(tmp_path / "theirs")
    refused(tmp_path / "theirs", {"lm_head.bias": torch.zeros(8)}, r"lm_head\.bias of shape \(8,\)")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("projector.weight", (8, 47)),
        ("projector.bias", (7,)),
        ("classifier.weight", (3, 9)),
        ("classifier.bias", ()),
    ],
)
def test_a_classifier_of_another_shape_is_refused(name, shape, tmp_path):
    model_of("hubert", "ForSequenceClassification", classifier_proj_size=8).save_pretrained(
        tmp_path / "theirs"
    )
    refused(tmp_path / "theirs", {name: torch.zeros(shape)}, name)


def test_a_ctc_head_with_too_many_outputs_is_refused():
    weight, symbols = torch.zeros(8193, 1), list(map(str, range(8193)))
    with pytest.raises(FormatError, match="8193 outputs; allowed: at most 8192"):
        ctc_head(weight, weight[:, 0], symbols, blank=0, delimiter="|", n_states=2)


def test_a_symbol_that_is_too_long_is_refused():
    weight = torch.zeros(2, 1)
    with pytest.raises(FormatError, match="a symbol of 257 characters; allowed: at most 256"):
        ctc_head(weight, weight[:, 0], ["", "a" * 257], blank=0, delimiter="|", n_states=2)
