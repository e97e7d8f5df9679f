"""Imports folders of the classes of earbit for transformers, in any precision.

`earbit export --format hf`, and `save_pretrained` after training in transformers, write them.
"""

from __future__ import annotations

import json
from pathlib import Path

from earbit.config import from_dict
from earbit.errors import ConfigError, FormatError
from earbit.hub.earbit_heads import HEAD_PREFIX, head_in
from earbit.hub.file_names import CONFIG
from earbit.hub.hugging_face_config import json_object
from earbit.hub.hugging_face_weights import digest, stored_in, weight_files
from earbit.hub.importer import Imported, Importer
from earbit.hub.stored_tensors import Stored
from earbit.load import built_model
from earbit.model import ModelConfig
from earbit.model_digest import weights_digest
from earbit.nn.precision import Granularity, Precision
from earbit.nn.shapes_only import shapes_only

MODEL_TYPE = "earbit"
WEIGHTS = "weights"
"""Key of the provenance: digest of the model that was exported."""
PREFIXES = ("network.", "earbit.network.")
"""Beginnings of the tensor names of a model, and of a model with a head."""


def _recognises(path: Path) -> bool:
    try:
        described = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        return bool(described["model_type"] == MODEL_TYPE)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _read(path: Path) -> Imported:
    described = json_object(path / CONFIG)
    try:
        config: ModelConfig = from_dict(ModelConfig, described["model"], "model")
        precisions = {n: Precision(*bits) for n, bits in described["precisions"].items()}
        granularities: dict[str, Granularity] = from_dict(
            dict[str, Granularity], described["granularities"], "granularities"
        )
        with shapes_only():
            model = built_model(config, precisions, granularities)
    except (KeyError, TypeError, AttributeError, ConfigError) as error:
        raise FormatError(f"{path / CONFIG}: {error!r}; save the model again") from error
    origin = described.get("origin") or {}
    if not isinstance(origin, dict):
        raise FormatError(
            f"{path / CONFIG}: origin={origin!r}; allowed: an object; save the model again"
        )
    shapes = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    files = weight_files(path)
    stored: Stored = {}
    for file in files:
        stored |= stored_in(file)
    kept = {_our_name(name): tensor for name, tensor in stored.items() if _our_name(name)}
    differ = [n for n in shapes.keys() | kept.keys() if n not in kept or n not in shapes]
    differ += [n for n in shapes.keys() & kept.keys() if kept[n].shape != shapes[n]]
    if differ:
        raise FormatError(
            f"{path}: {len(differ)} tensors are missing, unknown or of another shape, such as "
            f"{min(differ)}; the weights do not belong to this configuration"
        )
    # AudioModel computes in float32, whatever type the folder has.
    tensors = {
        name: t.float() if (t := kept[name].read()).is_floating_point() else t for name in shapes
    }
    model.load_state_dict(tensors, assign=True)
    is_unchanged = origin.pop(WEIGHTS, None) == weights_digest(model)
    if not is_unchanged:
        # Trained further, so heads of the models before do not fit any more.
        origin.pop("ancestors", None)
    head = head_in(path, described, stored, is_unchanged=is_unchanged)
    is_used = head is not None
    ignored = tuple(
        name
        for name in stored
        if not (_our_name(name) or (is_used and name.startswith(HEAD_PREFIX)))
    )
    return Imported(
        config,
        tensors,
        origin | {"stage": "import", "source": EARBIT_FOLDER.title, "sha256": digest(files)},
        ignored=ignored,
        head=head,
        precisions=precisions,
        granularities=granularities,
    )


def _our_name(name: str) -> str:
    """Name of a tensor in `AudioModel`; empty for tensors of a head."""
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return ""


EARBIT_FOLDER = Importer("folder of earbit for transformers", _recognises, _read)
