"""Symbols of a CTC head, from the files of its tokenizer in a Hugging Face folder.

Source: huggingface/transformers, Wav2Vec2CTCTokenizer and Wav2Vec2PhonemeCTCTokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earbit.errors import shown
from earbit.hub.file_names import TOKENIZER, VOCABULARY
from earbit.hub.heads import UnusableHead
from earbit.hub.hugging_face_config import json_object
from earbit.progress import say

ADDED = "added_tokens.json"
PHONE_TOKENIZER = "Wav2Vec2PhonemeCTCTokenizer"
"""Class whose text has a space between tokens; in the text of the other class they touch."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The outputs of a CTC head."""

    symbols: list[str]
    """Names of all outputs."""
    delimiter: str | None
    """The symbol between words, if there is one."""
    are_phones: bool


def vocabulary_of(folder: Path, described: Mapping[str, Any], n_outputs: int) -> Vocabulary:
    """The vocabulary of a folder; prints the settings of its tokenizer that are not followed.

    described: content of config.json.  Raises UnusableHead for tokens that are not those of the
    outputs, and FormatError for files that are not JSON.
    """
    if not (folder / VOCABULARY).is_file():
        raise UnusableHead(f"no {VOCABULARY}, so the CTC head has no symbols")
    tokens = json_object(folder / VOCABULARY)
    if (folder / ADDED).is_file():
        tokens |= json_object(folder / ADDED)
    settings = json_object(folder / TOKENIZER) if (folder / TOKENIZER).is_file() else {}
    kind = settings.get("tokenizer_class") or described.get("tokenizer_class")
    are_phones = kind == PHONE_TOKENIZER
    is_lower = bool(settings.get("do_lower_case")) and not are_phones
    symbols: dict[int, str] = {}
    for token, index in tokens.items():
        if not isinstance(index, int):
            raise UnusableHead(
                f"{shown(token)} has no number in {VOCABULARY}; allowed: the vocabulary of one "
                "language"
            )
        symbols[index] = token.lower() if is_lower else token
    missing = [i for i in range(n_outputs) if i not in symbols]
    if missing:
        raise UnusableHead(f"no token for output {missing[0]} of {n_outputs} in {VOCABULARY}")
    # A missing key has the default of the class, and null is no delimiter.
    delimiter = settings.get("word_delimiter_token", None if are_phones else "|")
    if isinstance(delimiter, dict):  # a token with its settings
        delimiter = delimiter.get("content")
    vocabulary = Vocabulary(
        [symbols[i] for i in range(n_outputs)],
        None if delimiter is None else str(delimiter),
        are_phones,
    )
    _say_not_followed(folder / TOKENIZER, settings, vocabulary)
    return vocabulary


def _say_not_followed(path: Path, settings: Mapping[str, Any], vocabulary: Vocabulary) -> None:
    """Prints the settings of a tokenizer by which its text differs from that of earbit."""
    names = []
    if vocabulary.are_phones:
        names += ["word_delimiter_token"] if vocabulary.delimiter in vocabulary.symbols else []
    elif settings.get("replace_word_delimiter_char", " ") != " ":
        names.append("replace_word_delimiter_char")
    if settings.get("clean_up_tokenization_spaces"):
        names.append("clean_up_tokenization_spaces")
    if names:
        values = ", ".join(f"{name}={shown(settings[name])}" for name in names)
        say(
            f"{path}: not followed: {values}; text of earbit has a space in the place of a word "
            "delimiter, and no space is removed from it"
        )
