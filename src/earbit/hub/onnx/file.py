"""Files of ONNX models."""

from __future__ import annotations

from pathlib import Path

import onnx

MAX_BYTES = 1_900_000_000
"""Weights beyond this size go to a second file, because a protobuf has less than 2 GB."""


def save(model: onnx.ModelProto, file: Path) -> None:
    """Writes a model, with large weights in a file `NAME.onnx_data` beside it."""
    n_bytes = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if n_bytes > MAX_BYTES:
        data = f"{file.name}_data"
        onnx.save_model(model, file, save_as_external_data=True, location=data)
    else:
        onnx.save_model(model, file)
