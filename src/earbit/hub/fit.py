"""Completes the tensors of a source to the state dict of a model, and checks all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from earbit.errors import FormatError
from earbit.hub.stored_tensors import Stored
from earbit.hub.tensor_names import DIRECTION, GAIN, HEADS, POSITION
from earbit.model import AudioModel, ModelConfig
from earbit.nn.shapes_only import shapes_only

_COUNTER = "num_batches_tracked"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A complete state dict, and the names of tensors that the model has no use for."""

    tensors: dict[str, Tensor]
    ignored: tuple[str, ...]


def fit(path: Path, stored: Stored, config: ModelConfig) -> Fitted:
    """Reads the tensors of `AudioModel(config)` in float32 from tensors with our names.

    Tensors of heads are ignored.  Raises FormatError, naming them, for tensors that are missing,
    unknown, of another shape or of integers; path: of the source, for messages.
    """
    with shapes_only():
        shapes = {name: tuple(t.shape) for name, t in AudioModel(config).state_dict().items()}
    ignored = tuple(name for name in stored if name not in shapes and name.startswith(HEADS))
    kept = {name: tensor for name, tensor in stored.items() if name not in ignored}
    made = _made(kept, shapes, config)
    _check(path, kept, made, shapes)
    tensors = {
        name: made[name] if name in made else kept[name].read().reshape(shape)
        for name, shape in shapes.items()
    }
    tensors = {n: t if n.endswith(_COUNTER) else t.float() for n, t in tensors.items()}
    return Fitted({name: tensor.contiguous() for name, tensor in tensors.items()}, ignored)


def _made(
    kept: Stored, shapes: Mapping[str, tuple[int, ...]], config: ModelConfig
) -> dict[str, Tensor]:
    """Tensors that a source may lack, because others determine them or nothing reads them."""
    made = {}
    if "mask_embedding" not in kept:
        # Missing in models that were fine-tuned without masking; only masking reads it.
        made["mask_embedding"] = torch.zeros(shapes["mask_embedding"])
    for name in shapes:
        if name.endswith(_COUNTER) and name not in kept:
            made[name] = torch.zeros((), dtype=torch.int64)
    fused = f"{POSITION}weight"
    if POSITION + GAIN in shapes and fused in kept:
        # A weight without weight norm is its own direction, and its gain is the norm of each tap.
        stored = kept.pop(fused)
        if stored.is_floating and len(stored.shape) == 3:
            weight = stored.read().float()
            made[POSITION + GAIN] = weight.norm(dim=(0, 1), keepdim=True)
            made[POSITION + DIRECTION] = weight
    if (
        config.front_end.n_channels == config.encoder.d_model
        and "projection.weight" not in kept
        and "projection.bias" not in kept
    ):
        # fairseq has no projection between equal widths.
        made["projection.weight"] = torch.eye(config.encoder.d_model)
        made["projection.bias"] = torch.zeros(config.encoder.d_model)
    return made


def _check(
    path: Path, kept: Stored, made: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises FormatError for missing or unknown tensors, wrong shapes and integers."""
    found = {n: tuple(t.shape) for n, t in made.items()} | {n: t.shape for n, t in kept.items()}
    faults = {
        "missing": [name for name in shapes if name not in found],
        "unknown": [name for name in found if name not in shapes],
        "of another shape": [
            f"{name} {found[name]} instead of {shape}"
            for name, shape in shapes.items()
            if name in found and _squeezed(found[name]) != _squeezed(shape)
        ],
        "of integers (a quantized model?)": [
            name for name, t in kept.items() if not t.is_floating and not name.endswith(_COUNTER)
        ],
    }
    for what, names in faults.items():
        if names:
            raise FormatError(
                f"{path}: {len(names)} tensors {what}: {some(names)}; the weights do not belong to "
                "this configuration, or are a part of the model"
            )


def refuse_not_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raises FormatError, naming them, for tensors with NaN or infinite values."""
    wrong = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if wrong:
        raise FormatError(
            f"{path}: {len(wrong)} tensors with values that are NaN or infinite: {some(wrong)}; "
            "give a checkpoint from before its training diverged, or load the file again"
        )


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without dimensions of one; WavLM stores its constants as (1, heads, 1, 1)."""
    return tuple(n for n in shape if n != 1)


def some(names: Iterable[str]) -> str:
    """The first three names, and the number of the others."""
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
