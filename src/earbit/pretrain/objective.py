"""What training minimises: cross-entropy of the hidden frames' units, and a penalty on features.

Letters: B batch, T frames, U units, M hidden frames of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from earbit.audio.batches import Batch
from earbit.model import AudioModel

FEATURE_PENALTY_WEIGHT = 10.0
"""Weight of the mean square of the front end's output (fairseq's `loss_weights`)."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One step's loss and what is worth logging of it."""

    total: Tensor
    """What is differentiated: a mean over hidden frames."""
    parts: dict[str, Tensor]
    """Scalars by name, without gradient."""


Objective = Callable[[AudioModel, Batch, Tensor, Tensor], Loss]
"""(model, batch, mask (B, T), targets (B, T)) -> Loss."""


def masked_units(model: AudioModel, batch: Batch, mask_BT: Tensor, targets_BT: Tensor) -> Loss:
    """Mean cross-entropy of the hidden frames + 10 x mean squared feature (HuBERT's scale)."""
    output = model(batch.waveforms, mask_BT=mask_BT)
    logits_MU = model.unit_logits(output.states[-1][mask_BT])
    return unit_loss(logits_MU, targets_BT[mask_BT], output.feature_penalty)


def unit_loss(logits_MU: Tensor, targets_M: Tensor, feature_penalty: Tensor) -> Loss:
    """The loss of `masked_units` from the logits of hidden frames and their units."""
    cross_entropy = F.cross_entropy(logits_MU, targets_M)
    accuracy = (logits_MU.argmax(-1) == targets_M).float().mean()
    parts = {
        "cross_entropy": cross_entropy.detach(),
        "accuracy": accuracy.detach(),
        "feature_penalty": feature_penalty.detach(),
    }
    return Loss(cross_entropy + FEATURE_PENALTY_WEIGHT * feature_penalty, parts)
