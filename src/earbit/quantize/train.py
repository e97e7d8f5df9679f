"""Losses of quantization-aware training: units, a teacher, or both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.errors import ConfigError, DataError, require_range
from earbit.model import AudioModel
from earbit.nn.evaluation import evaluating
from earbit.nn.finite import first_non_finite
from earbit.pretrain.objective import Loss, Objective, unit_loss


@dataclass(frozen=True, kw_only=True, slots=True)
class LossWeights:
    """Weights of the loss terms. A term of weight 0 is not computed."""

    units: float = 1.0
    """Weight of the pre-training loss (units and feature penalty); needs units and a head."""
    states: float = 1.0
    """Weight of the sum over hidden states of the mean squared error to the teacher."""
    logits: float = 1.0
    """Weight of the Kullback-Leibler divergence of unit probabilities from the teacher's, in nats
    per frame (BiT also divides by the number of classes, too small for 504 units); needs a head,
    but no units."""

    def __post_init__(self) -> None:
        require_range(0, math.inf, units=self.units, states=self.states, logits=self.logits)
        if not self.units + self.states + self.logits > 0:
            raise ConfigError("units=0, states=0, logits=0; allowed: one or more weights above 0")


STATES_ALONE = LossWeights(units=0.0, states=1.0, logits=0.0)
"""Distillation of hidden states, which needs neither units nor a unit head."""


def check_weights(weights: LossWeights, teacher: AudioModel, *, has_units: bool) -> None:
    """Raises ConfigError for a positive weight without the required unit head or units."""
    for name, needs_units in (("units", True), ("logits", False)):
        weight = getattr(weights, name)
        if weight > 0 and teacher.head is None:
            raise ConfigError(
                f"weights.{name}={weight:g} and the model has no unit head; set "
                f"weights.{name}=0, or give a model of `earbit pretrain`"
            )
        if weight > 0 and needs_units and not has_units:
            raise ConfigError(
                f"weights.{name}={weight:g} and there are no units; set weights.{name}=0, or keep "
                "the model in its folder of `earbit pretrain`, beside its units"
            )


def student_loss(teacher: AudioModel, weights: LossWeights, unmasked_weight: float) -> Objective:
    """The weighted sum of `LossWeights`; unmasked_weight is that of `unit_loss`.

    The teacher sees the same masked audio, in evaluation mode (BiT leaves it in training mode;
    its dropout would be noise in the target), and is left as it was.  Where states are compared,
    no layer of the student is dropped.  Raises DataError, naming the module, when what comes from
    the teacher is not finite.  Source: BiT, arXiv 2205.13016, distillation.
    """

    def loss(
        model: AudioModel, wave_BN: Tensor, mask_BT: Tensor, targets_BT: Tensor | None
    ) -> Loss:
        parts: dict[str, Tensor] = {}
        terms: list[Tensor] = []
        with all_layers(model) if weights.states > 0 else nullcontext():
            output = model(wave_BN, mask_BT=mask_BT)
        if weights.units > 0:
            assert targets_BT is not None
            units = unit_loss(model, output, mask_BT, targets_BT, unmasked_weight)
            parts |= units.parts
            terms.append(weights.units * units.total)

        def teach() -> tuple[list[Tensor], Tensor | None]:
            states = teacher(wave_BN, mask_BT=mask_BT).states
            return states, teacher.unit_logits(states[-1]) if weights.logits > 0 else None

        has_teacher = weights.states + weights.logits > 0
        with torch.no_grad(), evaluating(teacher):
            states, logits_BTU = teach() if has_teacher else ([], None)
        if weights.states > 0:
            distance = state_distance(output.states, states)
            parts["state_distance"] = distance.detach()
            terms.append(weights.states * distance)
        if logits_BTU is not None:
            of_logits = divergence(model.unit_logits(output.states[-1]), logits_BTU)
            parts["logit_divergence"] = of_logits.detach()
            terms.append(weights.logits * of_logits)
        total = torch.stack(terms).sum()
        if has_teacher and not bool(total.isfinite()):
            with evaluating(teacher):
                where = first_non_finite(teacher, teach)
            if where is not None:
                raise DataError(
                    f"the teacher's {where} is the first that is not finite; look at these files, "
                    "and at the teacher"
                )
        return Loss(total, parts)

    return Objective(loss, needs_units=weights.units > 0, beside=(teacher,))


@contextmanager
def all_layers(model: AudioModel) -> Iterator[None]:
    """No layer is dropped inside.

    A dropped one repeats the state before it, and the loss would pull that state to what the
    teacher's layer makes of it.
    """
    rate, model.encoder.layer_drop = model.encoder.layer_drop, 0.0
    try:
        yield
    finally:
        model.encoder.layer_drop = rate


def state_distance(ours: Sequence[Tensor], goals: Sequence[Tensor]) -> Tensor:
    """Sum over hidden states of the mean squared error; states may have any equal shapes."""
    return torch.stack([F.mse_loss(a, b) for a, b in zip(ours, goals, strict=True)]).sum()


def divergence(logits: Tensor, goals: Tensor) -> Tensor:
    """Mean over all distributions (..., U) of KL(teacher || student), in nats."""
    ours, goals = logits.log_softmax(-1), goals.log_softmax(-1)
    return F.kl_div(ours, goals, log_target=True, reduction="none").sum(-1).mean()
