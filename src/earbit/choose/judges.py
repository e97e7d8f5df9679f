"""Judges: how much worse a quantized model is than its float model, without and with labels.

Letters: L hidden states, B batch, T frames, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from earbit.errors import ConfigError, DataError
from earbit.frames import HOP_SAMPLES, n_frames_of
from earbit.heads.example import Example
from earbit.heads.kinds.table import KINDS
from earbit.model import AudioModel
from earbit.nn.evaluation import evaluating
from earbit.quantize.propagation.error_sums import ErrorSums
from earbit.quantize.propagation.hooks import unfused
from earbit.superb.head_file import TrainedHead
from earbit.superb.task import Task

MAX_ERROR = 10.0
"""Largest error of a hidden state; that of a correlation of 0.7 %, or of none."""
KINDS_WITH_LOSS = ("class", "sequence", "segments")
"""Kinds of output whose loss is defined for validation clips: `vector` has other speakers there."""


class Judge(Protocol):
    """Compares models with a float model on fixed audio."""

    @property
    def title(self) -> str:
        """What `__call__` returns, for tables."""

    def __call__(self, model: AudioModel) -> float:
        """Penalty of a model: 0 for the float model, and more for a worse one."""


class StateDistance:
    """Mean error of the hidden states, which needs no labels.

    The error of a state is `-2 ln r` of its correlation r with that of the float model, at most
    MAX_ERROR.  It is approximately the noise-to-signal ratio, and is additive for independent
    errors (docs/propagation.md).
    """

    title = "mean error of the hidden states"

    def __init__(self, teacher: AudioModel, clips: Sequence[np.ndarray]) -> None:
        self.waves = [torch.from_numpy(clip)[None] for clip in clips]
        with torch.no_grad(), evaluating(teacher), unfused(teacher):
            self.expected = [_states(teacher, wave_BN) for wave_BN in self.waves]

    @torch.no_grad()
    def __call__(self, model: AudioModel) -> float:
        """Mean over all hidden states."""
        sums = [ErrorSums("hidden states", is_centred=True) for _ in self.expected[0]]
        with evaluating(model), unfused(model):
            for wave_BN, expected in zip(self.waves, self.expected, strict=True):
                for one, reference, found in zip(
                    sums, expected, _states(model, wave_BN), strict=True
                ):
                    one.add(reference, found)
        return float(np.mean([min(one.log_error, MAX_ERROR) for one in sums]))


class TaskLoss:
    """Increase of the loss of a task on validation clips, with a head of the float model.

    The head is not trained again, so the increase is greater than that of a new head.
    """

    def __init__(
        self,
        teacher: AudioModel,
        trained: TrainedHead,
        examples: Sequence[Example],
        clips: Sequence[np.ndarray],
    ) -> None:
        self.title = f"increase of the validation loss of {trained.task.name}"
        self.trained = trained
        self.waves = [torch.from_numpy(clip)[None] for clip in clips]
        kind = KINDS[trained.task.kind]
        self.goals = [
            kind.encode(example.target, trained.slots, n_frames_of(clip.size), HOP_SAMPLES)
            for example, clip in zip(examples, clips, strict=True)
        ]
        self.float_loss = self._loss(teacher)
        """Loss of the float model."""

    def __call__(self, model: AudioModel) -> float:
        """Increase of the mean loss; 0 for a smaller one."""
        return max(0.0, self._loss(model) - self.float_loss)

    @torch.no_grad()
    def _loss(self, model: AudioModel) -> float:
        head, kind, losses = self.trained.head, KINDS[self.trained.task.kind], []
        with evaluating(model, head), unfused(model):
            for wave_BN, goal in zip(self.waves, self.goals, strict=True):
                states_LBTD = torch.stack(_states(model, wave_BN))
                lengths = torch.tensor([states_LBTD.shape[2]])
                outputs = head(states_LBTD, lengths)
                losses.append(float(kind.loss(head, outputs, lengths, [goal], self.trained.slots)))
        mean = float(np.mean(losses))
        if not np.isfinite(mean):
            raise DataError(
                f"the loss of {self.trained.task.name} is {mean}; leave out --task, or train "
                "another head"
            )
        return mean


def require_loss(task: Task) -> None:
    """Raises ConfigError for a task without a loss on validation clips."""
    if task.kind not in KINDS_WITH_LOSS:
        raise ConfigError(
            f"--task {task.name}: compares clips with clips, so it has no loss on validation "
            "clips; leave out --task to compare hidden states"
        )


def _states(model: AudioModel, wave_BN: Tensor) -> list[Tensor]:
    states: list[Tensor] = list(model(wave_BN).states)
    return states
