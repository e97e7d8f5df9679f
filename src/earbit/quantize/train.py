"""Quantization-aware training: units, a teacher, or both."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.audio.batches import Batch
from earbit.errors import ConfigError, require_range
from earbit.model import AudioModel, ModelOutput
from earbit.pretrain.objective import Loss, Objective, unit_loss


@dataclass(frozen=True, kw_only=True, slots=True)
class LossWeights:
    """What a student learns from; a part of weight 0 is left out."""

    units: float = 1.0
    """Of the pre-training loss: the units themselves, and the penalty on features."""
    states: float = 1.0
    """Of the mean squared errors of all hidden states against the teacher's, summed."""
    logits: float = 1.0
    """Of the Kullback-Leibler divergence of the unit probabilities from the teacher's, in nats per
    frame (BiT divides by the number of classes, which would make it vanish among 504 units)."""

    def __post_init__(self) -> None:
        require_range(0, math.inf, units=self.units, states=self.states, logits=self.logits)
        if not self.units + self.states + self.logits > 0:
            raise ConfigError("units=0, states=0, logits=0; at least one weight must be above 0")


def student_loss(teacher: AudioModel, weights: LossWeights, unmasked_weight: float) -> Objective:
    """The weighted sum of `LossWeights`; unmasked_weight is that of `unit_loss`.

    The teacher sees the same masked audio, in evaluation mode (BiT leaves it in training mode;
    its dropout would be noise in the target).  Source: BiT, arXiv 2205.13016, distillation.
    """
    teacher = teacher.eval().requires_grad_(False)
    has_teacher = weights.states + weights.logits > 0

    def objective(model: AudioModel, batch: Batch, mask_BT: Tensor, targets_BT: Tensor) -> Loss:
        output = model(batch.waveforms, mask_BT=mask_BT)
        # The accuracy of units is worth logging, whatever is learned from.
        units = unit_loss(model, output, mask_BT, targets_BT, unmasked_weight)
        parts = dict(units.parts)
        terms = [weights.units * units.total] if weights.units > 0 else []
        if has_teacher:
            with torch.no_grad():
                goal = teacher(batch.waveforms, mask_BT=mask_BT)
        if weights.states > 0:
            distance = _state_distance(output, goal)
            parts["state_distance"] = distance.detach()
            terms.append(weights.states * distance)
        if weights.logits > 0:
            divergence = _logit_divergence(model, output, teacher, goal)
            parts["logit_divergence"] = divergence.detach()
            terms.append(weights.logits * divergence)
        return Loss(torch.stack(terms).sum(), parts)

    return objective


def _state_distance(output: ModelOutput, goal: ModelOutput) -> Tensor:
    distances = [F.mse_loss(a, b) for a, b in zip(output.states, goal.states, strict=True)]
    return torch.stack(distances).sum()


def _logit_divergence(
    model: AudioModel, output: ModelOutput, teacher: AudioModel, goal: ModelOutput
) -> Tensor:
    """Mean over frames of KL(teacher || student) between the probabilities of units."""
    with torch.no_grad():
        goals_BTU = teacher.unit_logits(goal.states[-1]).log_softmax(-1)
    logits_BTU = model.unit_logits(output.states[-1]).log_softmax(-1)
    by_element = F.kl_div(logits_BTU, goals_BTU, log_target=True, reduction="none")
    return by_element.sum(-1).mean()
