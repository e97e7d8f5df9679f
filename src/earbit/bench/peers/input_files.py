"""Input files of other engines: a model file, and the formats that are made from it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit.bench.child import make_file
from earbit.bench.peers.catalogue import PEERS, FileKind


def input_files(
    config: Mapping[str, Any],
    engines: Sequence[str],
    model: Path | None,
    folder: Path,
    seconds: float,
) -> dict[FileKind, Path]:
    """Returns the input files of engines by kind, and makes missing ones in `folder`.

    config: of the model, as programs record it;  model: its file, or None for random weights;
    seconds: length of the audio.  Raises ConfigError for an invalid configuration.
    """
    files: dict[FileKind, Path] = {}
    if model is not None:
        files["model"] = model
    elif engines:
        files["model"] = folder / "model.safetensors"
        if not files["model"].exists():
            _write_random_model(config, files["model"])
    kinds = {PEERS[name].reads for name in engines}
    made: dict[FileKind, tuple[FileKind, str]] = {
        "onnx": ("model", "onnx"),
        "onnx-int8": ("onnx", "int8.onnx"),
        "openvino-int8": ("onnx", "xml"),
    }
    for kind, (source, suffix) in made.items():
        if kind in kinds or (kind == "onnx" and kinds - {"model"}):
            whole = folder / f"{kind}-{seconds:g}-s"
            files[kind] = whole / f"model.{suffix}"
            if not whole.exists():
                # Renamed only when it is complete, because the next call reuses existing files.
                with tempfile.TemporaryDirectory(dir=folder) as unfinished:
                    made_here = Path(unfinished) / "files"
                    made_here.mkdir()
                    make_file(kind, files[source], made_here / files[kind].name, seconds=seconds)
                    made_here.rename(whole)
    return files


def _write_random_model(config: Mapping[str, Any], path: Path) -> None:
    # Imported here, because `bench --engines none` runs without PyTorch.
    from earbit.config import from_dict
    from earbit.load import random_model
    from earbit.model import ModelConfig
    from earbit.model_file import save_model

    save_model(random_model(from_dict(ModelConfig, config, where="config"), 0), path, {})
