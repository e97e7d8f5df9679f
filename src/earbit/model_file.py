"""A trained model as one safetensors file: tensors, and the configuration as JSON metadata.

The metadata holds the precision of every leaf; `earbit.load` builds the model from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import earbit
from earbit.config import from_dict, to_dict
from earbit.errors import FormatError
from earbit.files import write_whole
from earbit.foreign import refuse_foreign
from earbit.model import AudioModel, ModelConfig
from earbit.model_names import WANTED
from earbit.nn.leaves import MatMul, leaf_modules
from earbit.nn.precision import Granularity, Precision

FORMAT = "earbit-model-2"
METADATA_KEY = "earbit"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Content of a model file."""

    config: ModelConfig
    precisions: dict[str, Precision]
    """Precisions of quantized leaves."""
    granularities: dict[str, Granularity]
    """Granularities of the weights of quantized leaves."""
    origin: dict[str, Any]
    """Provenance: name, plan, seed, steps, hashes."""
    tensors: dict[str, Tensor]


def quantization_of(model: AudioModel) -> dict[str, dict[str, Any]]:
    """`precisions` (bits of weight and activation) and `granularities` of the quantized leaves."""
    quantized = {n: leaf for n, leaf in leaf_modules(model).items() if not leaf.precision.is_float}
    return {
        "precisions": {
            name: [leaf.precision.weight_bits, leaf.precision.activation_bits]
            for name, leaf in quantized.items()
        },
        "granularities": {
            name: leaf.granularity
            for name, leaf in quantized.items()
            if not isinstance(leaf, MatMul)
        },
    }


def save_model(model: AudioModel, path: str | Path, origin: Mapping[str, Any]) -> None:
    """Writes `model` with its configuration atomically."""
    header = {
        "format": FORMAT,
        "earbit": earbit.__version__,
        "torch": torch.__version__,
        "config": to_dict(model.config),
        **quantization_of(model),
        "origin": dict(origin),
    }
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    metadata = {METADATA_KEY: json.dumps(header)}
    write_whole(Path(path), lambda temporary: save_file(tensors, temporary, metadata))


def read_model_file(path: Path) -> ModelFile:
    """Reads a model file; raises FormatError if it is damaged, foreign or incompatible."""
    header, tensors = _read(path, with_tensors=True)
    with _damage_named(path):
        config: ModelConfig = from_dict(ModelConfig, header["config"], where="config")
        precisions = {n: Precision(*bits) for n, bits in header["precisions"].items()}
        granularities: dict[str, Granularity] = from_dict(
            dict[str, Granularity], header["granularities"], "granularities"
        )
        return ModelFile(config, precisions, granularities, dict(header["origin"]), tensors)


def origin_of(path: Path) -> dict[str, Any]:
    """Provenance in a model file, whose tensors are not read; raises as `read_model_file` does."""
    header, _ = _read(path, with_tensors=False)
    with _damage_named(path):
        return dict(header["origin"])


def _read(path: Path, *, with_tensors: bool) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata of a model file of this format, and its tensors or none."""
    if not path.is_file():
        raise FormatError(f"{path}: no such file; give a model file of earbit or its folder")
    refuse_foreign(path, WANTED)
    try:
        with safe_open(path, framework="pt") as file:
            header_text = (file.metadata() or {}).get(METADATA_KEY)
            names = file.keys() if with_tensors else ()
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise FormatError(
            f"{path}: not a readable safetensors file ({error}); give a model that earbit wrote"
        ) from error
    if header_text is None:
        raise FormatError(f"{path}: a file of earbit, but no model; give {WANTED}")
    with _damage_named(path):
        header: dict[str, Any] = json.loads(header_text)
        if header["format"] != FORMAT:
            raise FormatError(
                f"{path}: format {header['format']!r}, this version reads {FORMAT!r}; "
                "for an exported program, give the model that it was exported from"
            )
    return header, tensors


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Context that raises FormatError for values of the metadata that cannot be used."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: damaged metadata ({error}); write the model again") from error
