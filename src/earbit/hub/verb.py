"""`earbit import`: converts a model of another program to a model folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from earbit.errors import ConfigError
from earbit.files import make_folder
from earbit.hub.file_names import CONFIG
from earbit.hub.fit import refuse_not_finite, some
from earbit.hub.table import importer_of
from earbit.load import built_model
from earbit.model_file import save_model
from earbit.model_names import MODEL_FILE_NAME
from earbit.nn.shapes_only import shapes_only
from earbit.superb.head_file import HEAD_NAME, save_head
from earbit.superb.task import SCORES_NAME


def import_model(source: Path, out_dir: Path) -> dict[str, Any]:
    """Converts a model of another program to OUT/model.safetensors, without a unit head.

    Raises ConfigError if the folder has a model, a head or scores already, or is a folder of
    transformers, and the errors of the importer.
    """
    out = out_dir / MODEL_FILE_NAME
    _refuse_held(out_dir)
    importer = importer_of(source)
    imported = importer.read(source)
    of_head = {} if imported.head is None else imported.head.tensors
    refuse_not_finite(source, {**imported.tensors, **{f"head.{n}": t for n, t in of_head.items()}})
    with shapes_only():
        model = built_model(imported.config, imported.precisions, imported.granularities)
    model.load_state_dict(dict(imported.tensors), assign=True)
    # Before the model is written, so that a head that does not fit leaves no folder.
    head = None if imported.head is None else imported.head.trained(model)
    make_folder(out_dir)
    save_model(model, out, imported.origin)
    if head is not None:
        save_head(out_dir / HEAD_NAME, head)
    return {
        "model": str(out),
        "format": importer.title,
        "parameters": sum(tensor.numel() for tensor in model.parameters()),
        "n_layers": imported.config.encoder.n_layers,
        "width": imported.config.encoder.d_model,
        "normalize_waveform": imported.config.normalize_waveform,
        "head": None
        if imported.head is None or head is None
        else {
            "kind": head.task.kind,
            "n_outputs": len(head.outputs),
            "blank_of_source": imported.head.blank,
        },
        "states": imported.states,
        "ignored": list(imported.ignored),
        "assumed": list(imported.assumed),
        "origin": dict(imported.origin),
    }


def _refuse_held(folder: Path) -> None:
    held = {MODEL_FILE_NAME: "model", HEAD_NAME: "head", SCORES_NAME: "score"}
    for name, what in held.items():
        if (folder / name).exists():
            raise ConfigError(f"{folder / name}: there is a {what} already; give another --out")
    try:
        described = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return
    if isinstance(described, dict) and "model_type" in described:
        # A model beside this file would be taken for one of transformers.
        raise ConfigError(
            f"{folder / CONFIG}: the folder belongs to transformers; give another --out"
        )


def render_imported(result: dict[str, Any]) -> str:
    """Text for the result of `import_model`."""
    normalized = "normalized" if result["normalize_waveform"] else "not normalized"
    lines = [
        f"{result['format']}: {result['n_layers']} layers of width {result['width']}, "
        f"{result['parameters']:,} parameters, waveform {normalized}",
    ]
    if result["assumed"]:
        lines.append(f"assumed, because the file has no settings: {', '.join(result['assumed'])}")
    if result["states"]:
        lines.append(result["states"])
    if result["ignored"]:
        ignored = result["ignored"]
        lines.append(f"ignored: {len(ignored)} tensors of a task ({some(ignored)})")
    lines.append(f"the model is {result['model']}")
    if result["head"] is not None:
        folder = Path(result["model"]).parent
        made = {"sequence": "text"}.get(result["head"]["kind"], "labels")
        lines.append(
            f"it has a head for {made} with {result['head']['n_outputs']} outputs: "
            f"earbit export {folder} --head {folder} --out FILE.safetensors"
        )
        if blank := result["head"]["blank_of_source"]:
            lines.append(
                f"its outputs have another order: the blank, output {blank} of the source, is "
                "output 0, and those before it move one on"
            )
    return "\n".join(lines)
