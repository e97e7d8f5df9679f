"""Interface of a kind of output: functions for targets, splits, outputs, loss and decoding.

Letters: B batch, T frames, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from earbit.audio.splits import Splits
from earbit.heads.cases import Cases
from earbit.heads.example import Example, Trial
from earbit.heads.head import Head

Slots = tuple[tuple[str, ...], ...]
"""Names of the outputs of a head by softmax, each over a part of the outputs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of output, shared by tasks."""

    target_of: Callable[[Any], Any]
    """Value of a manifest label -> target, or None for an invalid value."""
    splits: Callable[[Sequence[Example], Mapping[str, str | None]], Splits[Example]]
    """(examples, corpus split by id) -> splits; raises DataError if they are unusable."""
    slots_of: Callable[[Sequence[Any]], Slots]
    """Training targets -> names of the outputs."""
    encode: Callable[[Any, Slots, int, int], Tensor]
    """(target, slots, frames of the clip, samples per frame) -> int64 vector, or float32
    (frames, outputs) for a target per frame; raises DataError for a name without training clips."""
    loss: Callable[[Head, Tensor, Tensor, Sequence[Tensor], Slots], Tensor]
    """(head, its outputs, lengths in frames (B,), encoded targets, slots) -> mean loss."""
    decode: Callable[[Tensor, Slots, int, Any], Any]
    """(outputs (C,) or (T, C) of one clip without padding, slots, samples per frame, setting) ->
    prediction."""
    settings: tuple[Any, ...] = (None,)
    """Settings of `decode`; validation checks use the first, the best on the validation clips
    scores the test clips."""
    cases: Callable[[Sequence[Example], Mapping[str, Any], Sequence[Trial]], Cases]
    """(examples, predictions by id, trials) -> predictions and references of the metrics."""
    min_frames: Callable[[Any], int]
    """Minimum number of frames for a nonzero probability of the target."""


def clip_cases(
    examples: Sequence[Example], predictions: Mapping[str, Any], trials: Sequence[Trial]
) -> Cases:
    """Compares each clip with its target; clips of one speaker are a group."""
    return Cases(
        [predictions[e.id] for e in examples],
        [e.target for e in examples],
        [f"clip {e.id}" if e.speaker is None else f"speaker {e.speaker}" for e in examples],
    )
