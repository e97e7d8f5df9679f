"""Builds models, quantized or not: from a file, or from a preset with random weights."""

from __future__ import annotations

from pathlib import Path

import torch

from earbit.errors import FormatError
from earbit.model import AudioModel, ModelConfig
from earbit.model_file import MODEL_FILE_NAME, read_model_file
from earbit.quantize.convert import convert


def model_path(where: str | Path) -> Path:
    """The model file that a path means: itself, or `model.safetensors` in a folder."""
    path = Path(where)
    return path / MODEL_FILE_NAME if path.is_dir() else path


def load_model(where: str | Path) -> AudioModel:
    """A model of ours in evaluation mode, from its file or folder.

    Raises FormatError when the file is damaged or its tensors do not fit its configuration.
    """
    path = model_path(where)
    file = read_model_file(path)
    model = random_model(file.config, seed=0)
    convert(model, file.precisions)
    try:
        model.load_state_dict(file.tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise FormatError(f"{path}: tensors do not fit the configuration: {reason}") from error
    return model.eval()


def random_model(config: ModelConfig, seed: int) -> AudioModel:
    """A freshly initialised model; the same seed gives the same weights, nothing global moves."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AudioModel(config)
