"""Imports HuBERT, wav2vec 2.0 and WavLM from a Hugging Face folder, with the head of a task.

Hidden states equal those of transformers for single clips.  With a group norm in the front end
(Base), transformers lets the padding of a batch change its results; earbit does not.
"""

from __future__ import annotations

import json
from pathlib import Path

from earbit.errors import FormatError
from earbit.hub.file_names import CONFIG
from earbit.hub.fit import fit
from earbit.hub.hugging_face_config import (
    FAMILIES,
    config_of,
    json_object,
    normalizes_waveform,
)
from earbit.hub.hugging_face_heads import head_of
from earbit.hub.hugging_face_weights import digest, stored_in, weight_files
from earbit.hub.importer import Imported, Importer
from earbit.hub.stored_tensors import Stored
from earbit.hub.tensor_names import our_name

STATES = (
    "the states are those of transformers with output_hidden_states: the encoder's input after the "
    "positional convolution, and the output of every layer"
)
LAST_STATE = "; the last one is last_hidden_state"


def recognises_folder(path: Path) -> bool:
    """Whether a folder holds a configuration of one of the families."""
    try:
        described = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        return bool(described["model_type"] in FAMILIES)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _read(path: Path) -> Imported:
    described = json_object(path / CONFIG)
    config = config_of(path / CONFIG, described, normalizes=normalizes_waveform(path))
    files = weight_files(path)
    stored: Stored = {}
    for file in files:
        stored |= stored_in(file)
    where = files[0] if len(files) == 1 else path
    base, heads = _parts(stored, str(described["model_type"]))
    if not base:
        raise FormatError(f"{where}: no tensors; download the folder again")
    fitted = fit(where, {our_name(name): tensor for name, tensor in base.items()}, config)
    origin = {
        "stage": "import",
        "source": HUGGING_FACE.title,
        "sha256": digest(files),
        "transformers": str(described.get("transformers_version", "unknown")),
        # Not `_name_or_path`, which is the base of a fine-tuned model, or a path on its machine.
        "name": path.resolve().name,
    }
    head, taken = head_of(path, described, heads, config)
    return Imported(
        config,
        fitted.tensors,
        origin,
        states=f"{STATES}{LAST_STATE if described.get('do_stable_layer_norm') else ''}",
        ignored=(*fitted.ignored, *(name for name in heads if name not in taken)),
        head=head,
    )


def _parts(stored: Stored, family: str) -> tuple[Stored, Stored]:
    """Splits tensors into the base model, without its prefix, and task heads."""
    prefix = f"{family}."
    if not any(name.startswith(prefix) for name in stored):
        return stored, {}
    base = {n.removeprefix(prefix): t for n, t in stored.items() if n.startswith(prefix)}
    return base, {name: t for name, t in stored.items() if not name.startswith(prefix)}


HUGGING_FACE = Importer(
    f"Hugging Face folder of a {', '.join(FAMILIES.values())} model", recognises_folder, _read
)
