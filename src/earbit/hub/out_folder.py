"""The output folder of an export to another format."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

import earbit
from earbit.errors import ConfigError, DataError
from earbit.files import make_folder, refuse_other_files
from earbit.hub.file_names import CARD, CONFIG, FAST_TOKENIZER, PREPROCESSOR, TOKENIZER, VOCABULARY
from earbit.model_names import MODEL_FILE_NAME, format_of
from earbit.progress import say
from earbit.temporary import temporary_beside

ONNX = "onnx"
"""Folder of ONNX files, where transformers.js looks for them."""
SETTINGS_FILES = frozenset({CARD, CONFIG, PREPROCESSOR, VOCABULARY, TOKENIZER, FAST_TOKENIZER})
"""Files of every format, which an export replaces or removes."""
FILE_SUFFIXES = {".safetensors", ".onnx", ".pt", ".bin"}
MARK = "earbit"
"""Key of config.json that shows an export of earbit.  Its `files` has SHA-256 by file name."""
RECORDED = (CARD, MODEL_FILE_NAME)
"""Files that others change: by hand, and by training in transformers, which keeps the mark."""


def require_export_folder(out: Path, weights: str) -> None:
    """Raises ConfigError for a file, and for a folder with anything but an export of earbit.

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
    there = sorted(name for name in SETTINGS_FILES | {weights} if (out / name).exists())
    if not there:
        return
    recorded, model = _recorded(out), out / MODEL_FILE_NAME
    if recorded is None or (model.is_file() and recorded.get(model.name) != _sha256(model)):
        raise ConfigError(
            f"{out}: holds files that no export of earbit wrote ({', '.join(there)}); give a new "
            "or an empty folder as --out"
        )


@contextmanager
def written_whole(out: Path) -> Iterator[Path]:
    """A temporary folder whose content, with a config.json, moves to `out` if the block succeeds.

    A model card that was edited since the last export stays.  Raises DataError if a file cannot be
    written.
    """
    make_folder(out)
    temporary = temporary_beside(out / MODEL_FILE_NAME)
    written: set[str] = set()
    try:
        temporary.mkdir()
        yield temporary
        _record(temporary)
        if _is_edited(out / CARD):
            say(f"{out / CARD}: kept, because it was edited; delete it for a new model card")
            (temporary / CARD).unlink(missing_ok=True)
            written.add(CARD)
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


def _recorded(out: Path) -> dict[str, str] | None:
    """SHA-256 by name of files that the last export wrote; None for folders of other programs."""
    try:
        mark = json.loads((out / CONFIG).read_text(encoding="utf-8"))[MARK]
        return dict(mark.get("files", {}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _record(folder: Path) -> None:
    """Adds the mark to the config.json of a folder."""
    path = folder / CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    files = {name: _sha256(folder / name) for name in RECORDED if (folder / name).is_file()}
    mark = config.get(MARK) or {"version": earbit.__version__}
    write_json_files(folder, {CONFIG: {**config, MARK: {**mark, "files": files}}})


def _is_edited(card: Path) -> bool:
    return card.is_file() and (_recorded(card.parent) or {}).get(CARD) != _sha256(card)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
