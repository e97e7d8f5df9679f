"""Heads of Hugging Face folders whose tensors do not fit are refused before a file is written."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_imported_heads import model_of, save_ctc

from earbit.errors import FormatError
from earbit.hub.heads import UnusableHead, ctc_head
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


def head_with(symbols, **more):
    weight = torch.zeros(len(symbols), 1)
    settings = {"blank": 0, "delimiter": "|", "are_phones": False, "n_states": 2} | more
    return ctc_head(weight, weight[:, 0], symbols, **settings)


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        (list(map(str, range(8193))), "8193 outputs of a CTC head; allowed: at most 8192"),
        (["<s>", "a" * 257], "a symbol of 257 characters; allowed: 1 to 256"),
        (["<s>", ""], "a symbol of 0 characters; allowed: 1 to 256"),
    ],
)
def test_a_head_whose_symbols_earbit_cannot_hold_is_refused(symbols, message):
    with pytest.raises(UnusableHead, match=message):
        head_with(symbols)


def test_the_blank_may_have_any_name():
    assert head_with(["", "a", "|"]).slots == (("<blank>", "a", " "),)


def test_phones_end_in_a_space_and_no_delimiter_is_needed():
    found = head_with(["a", "<s>", "|"], blank=1, delimiter=None, are_phones=True)
    assert found.slots == (("<blank>", "a ", "| "),)
