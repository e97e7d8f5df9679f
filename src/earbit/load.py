"""Loads models, quantized or not: from a file, or from a preset with random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import torch

from earbit.config import override
from earbit.errors import ConfigError, FormatError, UnsupportedError
from earbit.model import AudioModel, ModelConfig
from earbit.model_file import origin_of, read_model_file
from earbit.model_names import model_path, require_model
from earbit.nn.precision import Granularity, Precision
from earbit.nn.shapes_only import shapes_only
from earbit.presets import PRESETS, preset
from earbit.quantize.convert import convert, quantized_leaves_of


def load_model(where: str | Path) -> AudioModel:
    """Loads a model in evaluation mode from its file or folder.

    Raises FormatError when the file is damaged or its tensors do not fit its configuration.
    """
    path = model_path(where)
    file = read_model_file(path)
    try:
        # On the meta device first: a damaged configuration may request any amount of memory.
        with shapes_only():
            model = built_model(file.config, file.precisions, file.granularities)
        model.load_state_dict(file.tensors, assign=True)
    except (RuntimeError, ConfigError, UnsupportedError) as error:
        reason = " ".join(str(error).split())
        raise FormatError(f"{path}: tensors do not fit the configuration: {reason}") from error
    return model.requires_grad_().eval()


def built_model(
    config: ModelConfig,
    precisions: Mapping[str, Precision],
    granularities: Mapping[str, Granularity],
) -> AudioModel:
    """Builds a model with new weights, quantized leaves by name; missing granularity: `channel`."""
    model = AudioModel(config)
    for granularity in get_args(Granularity):
        chosen = {
            name: precision
            for name, precision in precisions.items()
            if granularities.get(name, "channel") == granularity
        }
        convert(model, chosen, granularity)
    return model


def random_model(config: ModelConfig, seed: int) -> AudioModel:
    """A freshly initialised model, reproducible by seed; global random state is unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AudioModel(config)


def refuse_quantized(where: str, model: AudioModel, cure: str) -> None:
    """Raises ConfigError if the model of a preset or path is quantized; cure: the remedy."""
    if quantized_leaves_of(model):
        origin = origin_of(model_path(where))
        plan = f" under {origin['plan']}" if origin.get("plan") else ""
        raise ConfigError(f"{where}: quantized already{plan}; {cure}")


def refuse_settings(settings: Sequence[str], where: str) -> None:
    """Raises ConfigError if settings are given for a model file or folder `where`."""
    if settings:
        raise ConfigError(
            f"--set {' '.join(settings)} with {where}, whose configuration is what it was trained "
            "with; it is for presets"
        )


def preset_or_model(where: str, seed: int, settings: Sequence[str] = ()) -> AudioModel:
    """Returns a model in evaluation mode, from a preset or from a file or folder.

    A preset has random weights from the seed.  settings: `path=value` for the configuration of a
    preset.  Raises ConfigError for unknown names, and for settings of a model file or folder.
    """
    if where in PRESETS:
        return random_model(override(preset(where), settings), seed).eval()
    require_model(where)
    refuse_settings(settings, where)
    return load_model(where)
