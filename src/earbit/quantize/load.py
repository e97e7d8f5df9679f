"""Builds models, quantized or not: from a file, or from a preset with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch.nn import Parameter
from torch.nn.utils.parametrize import is_parametrized

from earbit.config import override
from earbit.errors import ConfigError, FormatError, UnsupportedError
from earbit.model import AudioModel, ModelConfig
from earbit.model_file import ModelFile, read_model_file
from earbit.model_names import model_path, require_model
from earbit.nn.leaves import MatMul
from earbit.nn.precision import Granularity
from earbit.presets import PRESETS
from earbit.quantize.calibrate import CalibrationConfig, calibrate, quantizers_of
from earbit.quantize.convert import convert, leaves_of, quantized_leaves_of
from earbit.quantize.plan import Plan, plan_named


def load_model(where: str | Path) -> AudioModel:
    """A model of ours in evaluation mode, from its file or folder.

    Raises FormatError when the file is damaged or its tensors do not fit its configuration.
    """
    path = model_path(where)
    file = read_model_file(path)
    try:
        model = _built(file)
        # On the meta device first: a damaged configuration may ask for any amount of memory.
        model.load_state_dict(file.tensors, assign=True)
    except (RuntimeError, ConfigError, UnsupportedError) as error:
        reason = " ".join(str(error).split())
        raise FormatError(f"{path}: tensors do not fit the configuration: {reason}") from error
    return model.requires_grad_().eval()


def _built(file: ModelFile) -> AudioModel:
    """The model of a file without its numbers."""
    with torch.device("meta"):
        model = AudioModel(file.config)
        for granularity in get_args(Granularity):
            chosen = {
                name: precision
                for name, precision in file.precisions.items()
                if file.granularities.get(name, "channel") == granularity
            }
            convert(model, chosen, granularity)
    return model


def random_model(config: ModelConfig, seed: int) -> AudioModel:
    """A freshly initialised model; the same seed gives the same weights, nothing global moves."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AudioModel(config)


def quantized_copy(model: AudioModel, plan: str, clips: list[np.ndarray]) -> AudioModel:
    """A copy of a float model under a plan, calibrated on unpadded clips (samples,)."""
    return student_of(model, plan_named(plan), clips, CalibrationConfig())


@torch.no_grad()
def student_of(
    model: AudioModel,
    plan: Plan,
    clips: list[np.ndarray],
    calibration: CalibrationConfig,
    granularity: Granularity = "channel",
) -> AudioModel:
    """A model under `plan` that starts where `model`, quantized or not, is.

    Its weights are those of `model`, and so are its shifts where `model` has learned some.  Scales
    are calibrated anew on unpadded clips (samples,): that of 2 bits is none for 1 (BiT keeps it).
    """
    twin = float_twin(model)
    convert(twin, plan.precisions(leaves_of(twin)), granularity)
    learned, quantizers = quantizers_of(model), quantizers_of(twin)
    for name, quantizer in quantizers.items():
        shift = learned[name].shift if name in learned else None
        if quantizer.shift is not None and shift is not None:
            quantizer.shift.copy_(shift)
    if quantizers:
        waves = [torch.from_numpy(clip)[None].to(model.mask_embedding) for clip in clips]
        calibrate(twin, waves, calibration, keep_shifts_of=learned)
    return twin


@torch.no_grad()
def float_twin(model: AudioModel) -> AudioModel:
    """A full-precision model with the weights of a quantized one, in the same mode."""
    twin = random_model(model.config, 0).to(model.mask_embedding)
    quantized = quantized_leaves_of(model)
    tensors = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not any(name.startswith(f"{leaf}.") for leaf in quantized)
    }
    twin.load_state_dict(tensors, strict=False)
    leaves = leaves_of(twin)
    for name, leaf in quantized.items():
        into = leaves[name]
        if isinstance(leaf, MatMul) or isinstance(into, MatMul):
            continue
        # An assignment, since it goes through weight norm where there is one.
        weight = leaf.weight.detach().clone()
        into.weight = weight if is_parametrized(into) else Parameter(weight)
        if into.bias is not None and leaf.bias is not None:
            into.bias.copy_(leaf.bias)
    return twin.train(model.training)


def noise_clips(seed: int, n_clips: int = 2, n_samples: int = 32_000) -> list[np.ndarray]:
    """Seeded noise to calibrate a model on when there is no corpus."""
    random = np.random.default_rng(seed)
    return [(0.1 * random.standard_normal(n_samples)).astype(np.float32) for _ in range(n_clips)]


def refuse_quantized(where: str, model: AudioModel, cure: str) -> None:
    """ConfigError for a model, from a preset or path, that has been quantized; cure: what to do."""
    if quantized_leaves_of(model):
        origin = read_model_file(model_path(where)).origin
        plan = f" under {origin['plan']}" if "plan" in origin else ""
        raise ConfigError(f"{where}: quantized already{plan}; {cure}")


def refuse_settings(settings: Sequence[str], where: str) -> None:
    """ConfigError for settings of a model that is no preset; where: which."""
    if settings:
        raise ConfigError(
            f"--set {' '.join(settings)} with {where}, whose configuration is what it was trained "
            "with; it is for presets"
        )


def preset_or_model(where: str, seed: int, settings: Sequence[str] = ()) -> AudioModel:
    """A model by its preset, with random weights from the seed, or from its file or folder.

    In evaluation mode.  settings: `path=value` for the configuration of a preset.  Raises
    ConfigError for what is neither, and for settings of a model.
    """
    if where in PRESETS:
        return random_model(override(PRESETS[where](), settings), seed).eval()
    require_model(where)
    refuse_settings(settings, where)
    return load_model(where)
