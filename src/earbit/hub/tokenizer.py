"""Vocabulary of a CTC head in the files of transformers' Wav2Vec2CTCTokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earbit.errors import UnsupportedError
from earbit.hub.file_names import TOKENIZER, VOCABULARY

PAD = "<pad>"
"""The CTC blank in transformers."""
PROCESSOR = "Wav2Vec2Processor"
"""Class of a feature extractor together with a tokenizer."""
DELIMITER = "|"
"""Token of a space between words."""
RENAMED = {PAD: "<fairseq-pad>"}
"""New names of symbols: fairseq has the blank `<s>`, and an unused symbol with the name `<pad>`."""
UNKNOWN = ("<unk>", "[UNK]")
"""Names of the unknown token; a vocabulary with neither of them uses the blank."""


def tokenizer_files(symbols: Sequence[str]) -> dict[str, Any]:
    """Contents of the files by name for symbols in order, the CTC blank first.

    A symbol that ends in a space (a phone) stays as it is, and the tokenizer joins symbols without
    spaces.  Symbols in `RENAMED` get other names.  Raises UnsupportedError for a symbol that has
    another meaning in the tokenizer.
    """
    named = (RENAMED.get(symbol, symbol) for symbol in symbols[1:])
    tokens = [PAD, *(DELIMITER if symbol == " " else symbol for symbol in named)]
    if len(set(tokens)) < len(tokens):
        clash = next(t for t in tokens if tokens.count(t) > 1)
        raise UnsupportedError(
            f"symbol {clash!r} of the vocabulary has another meaning in transformers; allowed: "
            f"every symbol once, and beside spaces no {DELIMITER!r}"
        )
    return {
        VOCABULARY: {token: i for i, token in enumerate(tokens)},
        TOKENIZER: {
            "tokenizer_class": "Wav2Vec2CTCTokenizer",
            "processor_class": PROCESSOR,
            "pad_token": PAD,
            "unk_token": next((token for token in UNKNOWN if token in tokens), PAD),
            "bos_token": None,
            "eos_token": None,
            "word_delimiter_token": DELIMITER,
            "replace_word_delimiter_char": " ",
            "do_lower_case": False,
            "clean_up_tokenization_spaces": False,
        },
    }


def fast_tokenizer(vocabulary: Mapping[str, int]) -> dict[str, Any]:
    """Content of tokenizer.json, which transformers.js reads in place of a vocabulary.

    The blank is an ordinary token, since transformers.js removes special tokens before it merges
    repeats.
    """
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": DELIMITER},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": ""},
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": None,
        "decoder": {
            "type": "CTC",
            "pad_token": PAD,
            "word_delimiter_token": DELIMITER,
            # Also replaces the delimiter by a space.
            "cleanup": True,
        },
        "model": {"type": "WordLevel", "vocab": dict(vocabulary), "unk_token": PAD},
    }
