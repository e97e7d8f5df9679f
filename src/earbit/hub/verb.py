"""`earbit import`: converts a model of another program to a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earbit.errors import ConfigError
from earbit.files import make_folder
from earbit.hub.table import importer_of
from earbit.model import AudioModel
from earbit.model_file import save_model
from earbit.model_names import MODEL_FILE_NAME
from earbit.nn.shapes_only import shapes_only


def import_model(source: Path, out_dir: Path) -> dict[str, Any]:
    """Converts a model of another program to OUT/model.safetensors, without a unit head.

    Raises ConfigError if the folder has a model already, and the errors of the importer.
    """
    out = out_dir / MODEL_FILE_NAME
    if out.exists():
        raise ConfigError(f"{out}: there is a model already; give another --out")
    importer = importer_of(source)
    imported = importer.read(source)
    with shapes_only():
        model = AudioModel(imported.config)
    model.load_state_dict(dict(imported.tensors), assign=True)
    make_folder(out_dir)
    save_model(model, out, imported.origin)
    return {
        "model": str(out),
        "format": importer.title,
        "parameters": sum(tensor.numel() for tensor in model.parameters()),
        "n_layers": imported.config.encoder.n_layers,
        "width": imported.config.encoder.d_model,
        "normalize_waveform": imported.config.normalize_waveform,
        "origin": dict(imported.origin),
    }
