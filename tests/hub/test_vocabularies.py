"""Vocabularies of Hugging Face folders: phones, delimiters, and those that no head can have."""

import json

import pytest
import torch
from test_imported_heads import TOKENS, exported, model_of, save_ctc, wave

from earbit.errors import FormatError
from earbit.hub.verb import import_model

transformers = pytest.importorskip("transformers")

PHONES = ["<pad>", "<s>", "</s>", "<unk>", "|", "aː", "t", "tʃ", "ə"]


def save_phones(folder, **settings):
    model = model_of("wav2vec2", "ForCTC", vocab_size=len(PHONES), pad_token_id=0)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    model.save_pretrained(folder)
    vocabulary = folder.parent / "phones.json"
    vocabulary.write_text(json.dumps({phone: i for i, phone in enumerate(PHONES)}))
    tokenizer = transformers.Wav2Vec2PhonemeCTCTokenizer(vocabulary, do_phonemize=False, **settings)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def theirs_of(model, tokenizer):
    with torch.no_grad():
        return tokenizer.decode(model(torch.from_numpy(wave())[None]).logits[0].argmax(-1))


def test_phones_have_spaces_between_them_as_in_transformers(tmp_path, capsys):
    theirs = theirs_of(*save_phones(tmp_path / "theirs"))
    assert len(theirs.split()) > 3
    assert exported(tmp_path / "theirs").text(wave()) == theirs
    assert "not followed" not in capsys.readouterr().err


def test_a_delimiter_between_words_of_phones_is_a_further_space(tmp_path, capsys):
    saved = save_phones(tmp_path / "theirs", word_delimiter_token="|")
    make_likely(saved[0], PHONES.index("|"), tmp_path / "theirs")
    text = exported(tmp_path / "theirs").text(wave())
    assert "  " in text
    assert text.split() == theirs_of(*saved).split()
    assert "tokenizer_config.json: not followed: word_delimiter_token='|'; text of earbit has" in (
        capsys.readouterr().err
    )


def make_likely(model, symbol, folder):
    """Saves a model whose likeliest symbol is this one in half of the frames."""
    with torch.no_grad():
        logits = model(torch.from_numpy(wave())[None]).logits[0]
        model.lm_head.bias[symbol] += (logits.amax(-1) - logits[:, symbol]).median() + 1e-3
    model.save_pretrained(folder)


def change(path, **values):
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(content | values))


@pytest.mark.parametrize("is_null", [True, False])
def test_a_delimiter_of_null_is_none_and_a_missing_one_the_default(is_null, tmp_path):
    model, _ = save_ctc(tmp_path / "theirs")
    make_likely(model, TOKENS.index("|"), tmp_path / "theirs")
    path = tmp_path / "theirs" / "tokenizer_config.json"
    kept = {k: v for k, v in json.loads(path.read_text()).items() if "delimiter" not in k}
    path.write_text(json.dumps(kept | ({"word_delimiter_token": None} if is_null else {})))
    tokenizer = transformers.Wav2Vec2CTCTokenizer.from_pretrained(tmp_path / "theirs")
    text = theirs_of(model, tokenizer)
    assert ("|" in text) == is_null
    assert exported(tmp_path / "theirs").text(wave()) == text


def test_settings_of_a_tokenizer_that_are_not_followed_are_said_in_one_line(tmp_path, capsys):
    save_ctc(tmp_path / "theirs")
    settings = {"replace_word_delimiter_char": "_", "clean_up_tokenization_spaces": True}
    change(tmp_path / "theirs" / "tokenizer_config.json", **settings)
    import_model(tmp_path / "theirs", tmp_path / "ours")
    (line,) = (s for s in capsys.readouterr().err.splitlines() if "not followed" in s)
    said = "replace_word_delimiter_char='_', clean_up_tokenization_spaces=True; text of earbit has"
    assert said in line


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", {"a": 0, "b": 1}, "no token for output 2 of 9 in vocab.json"),
        ("vocab.json", {"eng": {"a": 0}}, "'eng' has no number in vocab.json"),
        ("added_tokens.json", {"": 8}, "a symbol of 0 characters; allowed: 1 to 256"),
        ("config.json", {"pad_token_id": None}, "pad_token_id=None in config.json, the blank; all"),
    ],
)
def test_with_a_vocabulary_that_does_not_fit_the_model_is_imported_alone(
    name, content, message, tmp_path, capsys
):
    save_ctc(tmp_path / "theirs")
    path = tmp_path / "theirs" / name
    if name == "vocab.json":
        path.unlink()
    change(path, **content)
    result = import_model(tmp_path / "theirs", tmp_path / "ours")
    assert result["head"] is None
    assert result["ignored"] == ["lm_head.bias", "lm_head.weight"]
    said = [line for line in capsys.readouterr().err.splitlines() if "the head is left out" in line]
    assert len(said) == 1
    assert message in said[0]


@pytest.mark.parametrize("n", [8193, 65537])
def test_with_too_many_symbols_the_model_is_imported_alone(n, tmp_path, capsys):
    model_of("hubert", "ForCTC", vocab_size=n).save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "vocab.json").write_text(json.dumps({str(i): i for i in range(n)}))
    assert import_model(tmp_path / "theirs", tmp_path / "ours")["head"] is None
    assert f"{n}" in capsys.readouterr().err


def test_a_damaged_vocabulary_is_an_error(tmp_path):
    save_ctc(tmp_path / "theirs")
    (tmp_path / "theirs" / "vocab.json").write_text("{")
    with pytest.raises(FormatError, match="vocab.json: cannot be read"):
        import_model(tmp_path / "theirs", tmp_path / "ours")
