"""A model with the head of a task as one network, and its loss.

Letters: B batch, N samples, T frames, D width, C outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.finetune.config import FinetuneConfig
from earbit.frames import n_frames_of
from earbit.heads.head import Head
from earbit.heads.kinds.kind import Slots
from earbit.heads.kinds.table import KINDS
from earbit.model import AudioModel
from earbit.nn.devices import moved
from earbit.nn.evaluation import evaluating
from earbit.nn.lengths import length_mask
from earbit.pretrain.objective import Loss
from earbit.quantize.train import all_layers, divergence, state_distance
from earbit.superb.task import KindName

SOFTMAX_KINDS = ("class", "sequence")
"""Kinds whose outputs are logits of a softmax in every slot."""


@dataclass(frozen=True, slots=True)
class NetworkOutput:
    """Result of one forward pass."""

    outputs: Tensor
    """(B, C) or (B, T, C)."""
    states: list[Tensor]
    """All hidden states of the model, each (B, T, D)."""
    lengths: Tensor
    """Frames without padding (B,)."""

    def real(self, frames_BT: Tensor) -> Tensor:
        """The frames without padding of a tensor (B, T, ...), one after the other."""
        return frames_BT[length_mask(self.lengths, frames_BT.shape[1])]


class Network(torch.nn.Module):
    """A head on the hidden states of a model: (B, N) and samples (B,) -> `NetworkOutput`.

    A model in evaluation mode is frozen: it gets no gradient.  The head does not mask features,
    because its masks of up to 0.8 s were chosen for clips of many seconds.
    """

    def __init__(self, model: AudioModel, head: Head) -> None:
        super().__init__()
        self.model = model
        self.head = head
        head.is_augmented = False

    def forward(
        self, wave_BN: Tensor, lengths: Tensor, mask_BT: Tensor | None = None
    ) -> NetworkOutput:
        """Outputs of the head and all hidden states; mask_BT: True for frames that are hidden."""
        is_padded = int(lengths.min()) < wave_BN.shape[1]
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.model.training):
            states = self.model(wave_BN, lengths if is_padded else None, mask_BT).states
        n_frames = n_frames_of(lengths)
        return NetworkOutput(self.head(torch.stack(states), n_frames), states, n_frames)


@dataclass(frozen=True, slots=True)
class ClipBatch:
    """Training clips with encoded targets, and after them further clips without."""

    wave_BN: Tensor
    """Float32, padded with zeros."""
    lengths: Tensor
    """Samples without padding (B,)."""
    goals: Sequence[Tensor]
    """Targets of the first clips."""
    mask_BT: Tensor
    """True for frames that are hidden from the network, and not from its teacher."""

    def on(self, device: torch.device) -> ClipBatch:
        """The batch on a device."""
        goals = [moved(goal, device) for goal in self.goals]
        wave_BN, lengths, mask_BT = (
            moved(tensor, device) for tensor in (self.wave_BN, self.lengths, self.mask_BT)
        )
        return ClipBatch(wave_BN, lengths, goals, mask_BT)


def tuning_loss(
    network: Network,
    teacher: Network | None,
    batch: ClipBatch,
    kind: KindName,
    slots: Slots,
    config: FinetuneConfig,
) -> Loss:
    """The weighted sum of the terms of `FinetuneConfig`.

    The teacher hears the same audio in evaluation mode, without a mask.  States of a frozen model
    are not compared.  Where states are compared, no layer of the student is dropped.  Padding is
    never compared.
    Source of the distances: BiT, arXiv 2205.13016, which has no loss of labels.
    """
    terms: dict[str, tuple[float, Tensor]] = {}
    with all_layers(network.model) if config.states > 0 else nullcontext():
        output = network(batch.wave_BN, batch.lengths, batch.mask_BT)
    if config.labels > 0:
        loss = KINDS[kind].loss
        n = len(batch.goals)
        of_task = loss(network.head, output.outputs[:n], output.lengths[:n], batch.goals, slots)
        terms["task_loss"] = config.labels, of_task
    if teacher is not None and config.states + config.logits > 0:
        with torch.no_grad(), evaluating(teacher):
            goal = teacher(batch.wave_BN, batch.lengths)
        if config.states > 0 and network.model.training:
            ours, goals = ([*map(output.real, states)] for states in (output.states, goal.states))
            terms["state_distance"] = config.states, state_distance(ours, goals)
        if config.logits > 0:
            terms["logit_distance"] = config.logits, output_distance(output, goal, kind, slots)
    total = torch.stack([weight * value for weight, value in terms.values()]).sum()
    return Loss(total, {name: value.detach() for name, (_, value) in terms.items()})


def output_distance(
    output: NetworkOutput, goal: NetworkOutput, kind: KindName, slots: Slots
) -> Tensor:
    """Divergence from the teacher's probabilities, summed over slots; squared error elsewhere."""
    ours, goals = output.outputs, goal.outputs
    if ours.dim() == 3:
        ours, goals = output.real(ours), output.real(goals)
    if kind not in SOFTMAX_KINDS:
        return F.mse_loss(ours, goals)
    sizes = [len(slot) for slot in slots]
    pairs = zip(torch.split(ours, sizes, -1), torch.split(goals, sizes, -1), strict=True)
    return torch.stack([divergence(a, b) for a, b in pairs]).sum()
