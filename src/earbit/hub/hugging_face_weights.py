"""The weight files of a Hugging Face folder, whole or in shards, safetensors or PyTorch."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from earbit.errors import FormatError
from earbit.hub.hugging_face_config import json_object
from earbit.hub.pickle_values import TensorRecord
from earbit.hub.stored_tensors import Stored, StoredTensor
from earbit.hub.torch_file import TorchFile, open_torch_file

SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"
INDEX = ".index.json"


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a folder; raises FormatError if there are none or shards are missing."""
    for name in (SAFETENSORS, SAFETENSORS + INDEX, PICKLED, PICKLED + INDEX):
        path = folder / name
        if not path.is_file():
            continue
        if not name.endswith(INDEX):
            return [path]
        shards = json_object(path).get("weight_map")
        if not isinstance(shards, dict):
            raise FormatError(f"{path}: no weight_map; download it again")
        names = sorted({str(shard) for shard in shards.values()})
        # A name from a file, which must stay in the folder.
        missing = [n for n in names if Path(n).name != n or not (folder / n).is_file()]
        if missing:
            raise FormatError(
                f"{path}: of {len(names)} weight files {len(missing)} are not in the folder: "
                f"{', '.join(missing[:3])}; download the folder again"
            )
        return [folder / n for n in names]
    raise FormatError(
        f"{folder / SAFETENSORS}: not there, and neither is {PICKLED}; download the folder again"
    )


def stored_in(path: Path) -> Stored:
    """The tensors of a weight file; raises FormatError for a damaged file."""
    if path.suffix == ".safetensors":
        return _safetensors(path)
    file = open_torch_file(path)
    return state_dict(file, file.root)


def state_dict(file: TorchFile, values: object) -> Stored:
    """The tensors among the values of a dictionary in a checkpoint."""
    if not isinstance(values, dict):
        raise FormatError(f"{file.path}: no dictionary of tensors; give the model's checkpoint")
    return {
        str(name): file.tensor(value)
        for name, value in values.items()
        if isinstance(value, TensorRecord)
    }


def digest(paths: list[Path]) -> str:
    """SHA-256 of the content of files."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(2**20):
                total.update(block)
    return total.hexdigest()


def _safetensors(path: Path) -> Stored:
    try:
        with safe_open(path, framework="pt") as file:
            stored = {}
            for name in file.keys():  # noqa: SIM118
                part = file.get_slice(name)
                is_floating = part.get_dtype() in ("F64", "F32", "F16", "BF16")
                stored[name] = StoredTensor(
                    tuple(part.get_shape()), is_floating, partial(_tensor, path, name)
                )
            return stored
    except (SafetensorError, OSError) as error:
        raise FormatError(f"{path}: cannot be read ({error}); download it again") from error


def _tensor(path: Path, name: str) -> Tensor:
    try:
        with safe_open(path, framework="pt") as file:
            tensor: Tensor = file.get_tensor(name)
            return tensor
    except (SafetensorError, OSError) as error:
        raise FormatError(f"{path}: cannot be read ({error}); download it again") from error
