"""Files of units: named arrays and a JSON header in one safetensors file, read with suspicion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from earbit.errors import FormatError
from earbit.files import make_folder, write_whole

METADATA_KEY = "earbit"


def write_tensor_file(
    path: Path, file_format: str, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Writes arrays under a header, whole or not at all; DataError when it cannot be written."""
    make_folder(path.parent)
    metadata = {METADATA_KEY: json.dumps({"format": file_format, **header})}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_whole(path, lambda temporary: save_file(contiguous, temporary, metadata))


def read_tensor_file(
    path: Path, file_format: str, dtypes: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a file of `file_format`.

    dtypes: every array that must be there, with the safetensors types ('F32', 'I64') that it may
    have.  Raises FormatError for a file that is missing, damaged, foreign or of another version.
    """
    try:
        with safe_open(path, framework="np") as file:
            header = _header(path, file_format, (file.metadata() or {}).get(METADATA_KEY))
            names = set(file.keys())
            if names != set(dtypes):
                raise FormatError(
                    f"{path}: holds {sorted(names)}, expected {sorted(dtypes)}; write it again"
                )
            for name, allowed in dtypes.items():
                found = file.get_slice(name).get_dtype()
                if found not in allowed:
                    raise FormatError(
                        f"{path}: {name} is {found}, expected {' or '.join(allowed)}; "
                        "write it again"
                    )
            return header, {name: file.get_tensor(name) for name in dtypes}
    except (SafetensorError, OSError) as error:
        raise FormatError(
            f"{path}: not a readable safetensors file ({error}); "
            "write it with: earbit units CORPUS --out DIR"
        ) from error


def _header(path: Path, file_format: str, text: str | None) -> dict[str, Any]:
    try:
        header = json.loads(text or "null")
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: damaged metadata ({error}); write the file again") from error
    if not isinstance(header, dict) or header.get("format") != file_format:
        found = header.get("format") if isinstance(header, dict) else None
        raise FormatError(
            f"{path}: format {found!r}, this version reads {file_format!r}; "
            "give a file that `earbit units` wrote, or write it again"
        )
    return header
