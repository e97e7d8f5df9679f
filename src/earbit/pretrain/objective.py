"""The pre-training loss: cross-entropy of the units of masked frames, and a feature penalty.

Letters: B batch, N samples, T frames, U units, M frames of the batch that are meant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.model import AudioModel, ModelOutput

FEATURE_PENALTY_WEIGHT = 10.0
"""Weight of the mean square of the front end's output (fairseq's `loss_weights`)."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Loss of one training step and the scalars to log."""

    total: Tensor
    """The loss to differentiate."""
    parts: dict[str, Tensor]
    """Scalars to log by name, without gradient."""


LossFunction = Callable[[AudioModel, Tensor, Tensor, Tensor | None], Loss]
"""(model, audio (B, N), mask (B, T), targets (B, T) or None) -> Loss."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss function and the data that it needs."""

    loss: LossFunction
    needs_units: bool
    """Whether the loss function needs the unit of every frame; targets are None otherwise."""
    beside: tuple[torch.nn.Module, ...] = ()
    """Networks that the loss function uses beside the trained one, as a teacher."""


def masked_units(unmasked_weight: float) -> Objective:
    """HuBERT's objective; see `unit_loss`."""

    def loss(
        model: AudioModel, wave_BN: Tensor, mask_BT: Tensor, targets_BT: Tensor | None
    ) -> Loss:
        assert targets_BT is not None
        output = model(wave_BN, mask_BT=mask_BT)
        return unit_loss(model, output, mask_BT, targets_BT, unmasked_weight)

    return Objective(loss, needs_units=True)


def unit_loss(
    model: AudioModel,
    output: ModelOutput,
    mask_BT: Tensor,
    targets_BT: Tensor,
    unmasked_weight: float,
) -> Loss:
    """Cross-entropy of masked frames + weight x that of others + 10 x mean square of features.

    Source: HuBERT, arXiv 2106.07447, section II-B (its alpha), with fairseq's scale.
    """
    hidden, accuracy = _cross_entropy(model, output, mask_BT, targets_BT)
    total = hidden + FEATURE_PENALTY_WEIGHT * output.feature_penalty
    parts = {
        "cross_entropy": hidden.detach(),
        "accuracy": accuracy,
        "feature_penalty": output.feature_penalty.detach(),
    }
    if unmasked_weight > 0:
        seen, seen_accuracy = _cross_entropy(model, output, ~mask_BT, targets_BT)
        total = total + unmasked_weight * seen
        parts |= {"unmasked_cross_entropy": seen.detach(), "unmasked_accuracy": seen_accuracy}
    return Loss(total, parts)


def _cross_entropy(
    model: AudioModel, output: ModelOutput, frames_BT: Tensor, targets_BT: Tensor
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and accuracy over the frames where the mask is True."""
    logits_MU = model.unit_logits(output.states[-1][frames_BT])
    targets_M = targets_BT[frames_BT]
    accuracy = (logits_MU.argmax(-1) == targets_M).float().mean()
    return F.cross_entropy(logits_MU, targets_M), accuracy
