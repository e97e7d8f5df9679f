"""Recognises foreign models and files by their content, without loading them.

Formats: PyTorch (zip since 1.6, a pickle before), safetensors (huggingface.co/docs/safetensors),
ONNX (onnx.proto: ir_version is field 1, a varint), GGUF and ggml (ggml-org/ggml/docs/gguf.md),
TensorFlow Lite (its FlatBuffers identifier), HDF5, NumPy.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from earbit.errors import FormatError
from earbit.near_names import near_names

_HEAD_BYTES = 512
_MAX_HEADER_BYTES = 2**27
_BEGINNINGS = {
    b"GGUF": "a GGUF model",
    b"lmgg": "a ggml model",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras writes",
    b"\x93NUMPY": "a NumPy array",
    b"\x1f\x8b": "a gzip archive",
    # torch.save before 1.6: the pickled number 0x1950a86a20f9469cfc6c.
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": "a PyTorch checkpoint (a pickle)",
    b"version https://git-lfs.github.com/spec/": "a Git LFS pointer (`git lfs pull` fetches it)",
}


def refuse_foreign(path: Path, wanted: str) -> None:
    """Raises FormatError, naming the format, for a file or folder of another program.

    wanted: the expected input, for the message.  Returns for files of earbit, for missing files
    and for unrecognised formats.
    """
    kind = foreign_kind(path)
    if kind is not None and path.is_dir():
        raise FormatError(
            f"{path}: {kind}; give {wanted}. `earbit import {path} --out DIR` makes a model of it, "
            "if it is HuBERT, wav2vec 2.0, WavLM or a model of earbit"
        )
    if kind is not None:
        raise FormatError(
            f"{path}: {kind}; give {wanted}. `earbit import` reads HuBERT, wav2vec 2.0 and WavLM "
            "of transformers, fairseq, torchaudio and s3prl"
        )


def is_hub_name(where: str) -> bool:
    """Whether text may be a model of the Hugging Face hub: `facebook/hubert-base-ls960`."""
    return bool(re.fullmatch(r"[\w.-]+/[\w.-]+", where)) and not Path(where).parent.exists()


def absent(path: Path) -> str:
    """Message for a model that does not exist, which may be a name of the Hugging Face hub."""
    if is_hub_name(str(path)):
        return (
            f"{path}: no such file or folder; to take it from the Hugging Face hub, download it: "
            f"hf download {path} --local-dir {path.name}; then: "
            f"earbit import {path.name} --out DIR"
        )
    return (
        f"{path}: no such file or folder; check the path{near_names(path)}, or download the model "
        "and give its file or folder"
    )


def foreign_kind(path: Path) -> str | None:
    """Description of a file or folder of another program. None if it is not recognised."""
    try:
        if path.is_dir():
            return _kind_of_folder(path)
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if head.startswith(b"PK\x03\x04"):
            return _kind_of_zip(path)
        if len(head) > 8 and head[8:9] == b"{":
            return _kind_of_safetensors(path)
    # NotImplementedError: a zip file of a later version.
    except (OSError, ValueError, RecursionError, NotImplementedError, zipfile.BadZipFile):
        return None
    return _kind_by_head(head)


def _kind_by_head(head: bytes) -> str | None:
    for beginning, kind in _BEGINNINGS.items():
        if head.startswith(beginning):
            return kind
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    if head[257:262] == b"ustar":
        return "a tar archive, as NeMo writes"
    if re.match(rb"\x80[\x02-\x05]", head):
        return "a Python pickle, as old PyTorch, fairseq and joblib write"
    if re.match(rb"\x08[\x01-\x20][\x12\x1a\x22\x2a\x3a]", head):
        return "an ONNX model"
    if re.match(rb"\s*<(!doctype html|html)", head, re.IGNORECASE):
        return "a web page"
    return None


def _kind_of_zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in names):
        return "a TorchScript program"
    if any(name.endswith("data.pkl") for name in names):
        return "a PyTorch checkpoint"
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive (.npz)"
    return "a zip archive"


def safetensors_metadata(path: Path) -> dict[str, Any]:
    """Metadata in the header of a safetensors file; empty if it has none.

    Raises ValueError for a damaged header, and OSError for a file that cannot be read.
    """
    with path.open("rb") as file:
        n_header_bytes = int.from_bytes(file.read(8), "little")
        if n_header_bytes > min(_MAX_HEADER_BYTES, path.stat().st_size - 8):
            raise ValueError(f"{path}: a header of {n_header_bytes} bytes, more than the file has")
        header = json.loads(file.read(n_header_bytes))
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict):
        raise ValueError(f"{path}: its header is no safetensors header")
    return metadata


def _kind_of_safetensors(path: Path) -> str | None:
    """Format of a foreign safetensors file; None if it was written by earbit."""
    said = safetensors_metadata(path)
    if any(str(text).startswith("earbit") for pair in said.items() for text in pair):
        return None
    return "a safetensors file without metadata of earbit"


def _kind_of_folder(path: Path) -> str | None:
    described: Any = json.loads((path / "config.json").read_text(encoding="utf-8"))
    if not isinstance(described, dict) or "model_type" not in described:
        return None
    return f"a Hugging Face model of type {described['model_type']!r}"
