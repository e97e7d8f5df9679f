"""Quantization-aware training: the pre-training objective, with the float model as a teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.audio.batches import Batch
from earbit.model import AudioModel
from earbit.pretrain.objective import Loss, Objective, unit_loss


def distil_from(teacher: AudioModel, weight: float, unmasked_weight: float) -> Objective:
    """Units (see `unit_loss`) plus `weight` times the mean squared errors of all hidden states.

    The teacher sees the same masked audio, in evaluation mode (BiT leaves it in training mode;
    its dropout would be noise in the target).  Source: BiT, arXiv 2205.13016, hidden-state term.
    """
    teacher = teacher.eval().requires_grad_(False)

    def objective(model: AudioModel, batch: Batch, mask_BT: Tensor, targets_BT: Tensor) -> Loss:
        with torch.no_grad():
            goals = teacher(batch.waveforms, mask_BT=mask_BT).states
        output = model(batch.waveforms, mask_BT=mask_BT)
        units = unit_loss(model, output, mask_BT, targets_BT, unmasked_weight)
        distances = [
            F.mse_loss(state, goal) for state, goal in zip(output.states, goals, strict=True)
        ]
        distance = torch.stack(distances).sum()
        parts = units.parts | {"state_distance": distance.detach()}
        return Loss(units.total + weight * distance, parts)

    return objective
