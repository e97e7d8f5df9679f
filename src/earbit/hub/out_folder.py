"""The output folder of an export to another format."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from earbit.errors import ConfigError, DataError
from earbit.files import make_folder, refuse_other_files
from earbit.model_names import MODEL_FILE_NAME, format_of

CARD, CONFIG, PREPROCESSOR = "README.md", "config.json", "preprocessor_config.json"
VOCABULARY, TOKENIZER = "vocab.json", "tokenizer_config.json"
FAST_TOKENIZER = "tokenizer.json"
ONNX = "onnx"
"""Folder of ONNX files, where transformers.js looks for them."""
SETTINGS_FILES = frozenset({CARD, CONFIG, PREPROCESSOR, VOCABULARY, TOKENIZER, FAST_TOKENIZER})
"""Files of every format, which an export replaces or removes."""
FILE_SUFFIXES = {".safetensors", ".onnx", ".pt", ".bin"}


def require_export_folder(out: Path, weights: str) -> None:
    """Raises ConfigError for a file, and for a folder with a model of earbit or other files.

    weights: name of the file or folder that a format has beside `SETTINGS_FILES`.
    """
    if out.suffix in FILE_SUFFIXES:
        raise ConfigError(f"{out}: the name of a file; this format writes a folder, give its name")
    if (held := format_of(out / MODEL_FILE_NAME)) is not None:
        raise ConfigError(
            f"{out}: holds a trained model ({held}), which the export would replace; give another "
            "--out"
        )
    refuse_other_files(out, SETTINGS_FILES | {weights})


@contextmanager
def written_whole(out: Path) -> Iterator[Path]:
    """A temporary folder whose content moves to `out` if the block succeeds.

    Raises DataError if a file cannot be written.
    """
    make_folder(out)
    temporary = out / f".{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    written: set[str] = set()
    try:
        temporary.mkdir()
        yield temporary
        for path in sorted(p for p in temporary.rglob("*") if p.is_file()):
            place = out / path.relative_to(temporary)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
            written.add(place.name)
        for name in SETTINGS_FILES - written:
            # Of an earlier export, for example the vocabulary of a head that this one lacks.
            (out / name).unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        # safetensors raises its own error for a full disk.
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{out}: cannot be written ({reason}); give another folder") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json_files(folder: Path, files: Mapping[str, Any]) -> None:
    """Writes JSON files by name into an existing folder."""
    for name, content in files.items():
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (folder / name).write_text(f"{text}\n", encoding="utf-8")


def preprocessor(*, normalizes: bool, returns_mask: bool) -> dict[str, Any]:
    """Settings of Wav2Vec2FeatureExtractor: 16 kHz mono audio, padded with zeros on the right."""
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": 16_000,
        "padding_side": "right",
        "padding_value": 0.0,
        "do_normalize": normalizes,
        "return_attention_mask": returns_mask,
    }
