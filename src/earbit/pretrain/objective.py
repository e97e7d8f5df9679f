"""The pre-training loss: cross-entropy of the units of masked frames, and a feature penalty.

Letters: B batch, N samples, T frames, U units, M masked and S other frames of the batch.
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

    `predicted_units` is the perplexity of the predictions for masked frames: how many units they
    use.  Source: HuBERT, arXiv 2106.07447, section II-B (its alpha), with fairseq's scale.
    """
    hidden, predicted_M, targets_M = _cross_entropy(model, output, mask_BT, targets_BT)
    total = hidden + FEATURE_PENALTY_WEIGHT * output.feature_penalty
    parts = {
        "cross_entropy": hidden.detach(),
        "accuracy": _share_equal(predicted_M, targets_M),
        "feature_penalty": output.feature_penalty.detach(),
        "predicted_units": torch.special.entr(_shares(predicted_M)).sum().exp(),
    }
    # Without a weight it is only logged, at a hundredth of the cost of the model.
    with torch.set_grad_enabled(unmasked_weight > 0 and torch.is_grad_enabled()):
        seen, predicted_S, targets_S = _cross_entropy(model, output, ~mask_BT, targets_BT)
    if unmasked_weight > 0:
        total = total + unmasked_weight * seen
    parts["unmasked_cross_entropy"] = seen.detach()
    parts["unmasked_accuracy"] = _share_equal(predicted_S, targets_S)
    return Loss(total, parts)


def _cross_entropy(
    model: AudioModel, output: ModelOutput, frames_BT: Tensor, targets_BT: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropy, predictions and targets of the frames where the mask is True."""
    logits_MU = model.unit_logits(output.states[-1][frames_BT])
    targets_M = targets_BT[frames_BT]
    # A batch may have no frame to be seen, over which there is no mean.
    loss = F.cross_entropy(logits_MU, targets_M) if len(targets_M) else logits_MU.sum()
    return loss, logits_MU.argmax(-1), targets_M


def _share_equal(predicted_M: Tensor, targets_M: Tensor) -> Tensor:
    return (predicted_M == targets_M).float().sum() / max(len(targets_M), 1)


def _shares(units_M: Tensor) -> Tensor:
    """Share of every unit among frames."""
    return units_M.bincount(minlength=1).float() / max(len(units_M), 1)
