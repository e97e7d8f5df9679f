"""Copies of a model under another plan, with the model's weights."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch.nn import Parameter
from torch.nn.utils.parametrize import is_parametrized

from earbit.load import random_model
from earbit.model import AudioModel
from earbit.nn.leaves import MatMul, leaf_modules, leaves_of
from earbit.nn.precision import Granularity
from earbit.quantize.calibrate import (
    WITHOUT_TRAINING,
    CalibrationConfig,
    calibrate,
    quantizers_of,
)
from earbit.quantize.convert import convert, precisions_of, quantized_leaves_of
from earbit.quantize.leaves import QuantizedMatMul
from earbit.quantize.plan import Plan, plan_named
from earbit.quantize.report import say_rules_without_effect


def quantized_copy(model: AudioModel, plan: str, clips: list[np.ndarray]) -> AudioModel:
    """A copy of a float model under a plan, calibrated on unpadded clips (samples,)."""
    return student_of(model, plan_named(plan), clips, WITHOUT_TRAINING)


def plan_for(where: str, model: AudioModel, plan: str) -> Plan:
    """The plan of a name or file, whose rules without an effect on the model are reported.

    where: name of the model.  Raises ConfigError for an unknown plan and one that does not fit.
    """
    chosen, leaves = plan_named(plan), leaves_of(model)
    if chosen.rules:
        chosen.quantizing(leaves)
    say_rules_without_effect(chosen, leaves, where)
    return chosen


def is_under(model: AudioModel, plan: Plan, granularity: Granularity = "channel") -> bool:
    """Whether every leaf of a model has the precision of a plan, and scales of this granularity."""
    granularities = {
        leaf.granularity
        for leaf in quantized_leaves_of(model).values()
        if not isinstance(leaf, QuantizedMatMul) and leaf.weight_quantizer is not None
    }
    precisions = plan.precisions(leaves_of(model))
    return precisions == precisions_of(model) and granularities <= {granularity}


@torch.no_grad()
def student_of(
    model: AudioModel,
    plan: Plan,
    clips: list[np.ndarray],
    calibration: CalibrationConfig,
    granularity: Granularity = "channel",
) -> AudioModel:
    """A copy of `model`, quantized or not, under `plan`.

    It has the weights of `model`, and its learned shifts if any.  Scales are calibrated again on
    unpadded clips (samples,), because a scale for 2 bits does not suit 1 bit (BiT keeps it).  A
    model that the plan does not change keeps its learned scales, see `is_under`.
    """
    if quantized_leaves_of(model) and is_under(model, plan, granularity):
        return copy.deepcopy(model)
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
    """A full-precision model with the weights of a quantized one, in the same mode.

    The parameters that learn are the same.
    """
    twin = random_model(model.config, 0).to(model.mask_embedding)
    quantized = quantized_leaves_of(model)
    tensors = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not any(name.startswith(f"{leaf}.") for leaf in quantized)
    }
    twin.load_state_dict(tensors, strict=False)
    learns = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    for name, parameter in twin.named_parameters():
        parameter.requires_grad_(learns.get(name, parameter.requires_grad))
    leaves = leaf_modules(twin)
    for name, leaf in quantized.items():
        into = leaves[name]
        if isinstance(leaf, MatMul) or isinstance(into, MatMul):
            continue
        # Assigned, so that weight norm is applied if there is one.
        weight = leaf.weight.detach().clone()
        into.weight = weight if is_parametrized(into) else Parameter(weight)
        if into.bias is not None and leaf.bias is not None:
            into.bias.copy_(leaf.bias)
        for part, parameter in into.named_parameters():
            if part != "bias":
                parameter.requires_grad_(leaf.weight.requires_grad)
    return twin.train(model.training)


def noise_clips(seed: int, n_clips: int = 2, n_samples: int = 32_000) -> list[np.ndarray]:
    """Seeded noise for calibration without a corpus."""
    random = np.random.default_rng(seed)
    return [(0.1 * random.standard_normal(n_samples)).astype(np.float32) for _ in range(n_clips)]
