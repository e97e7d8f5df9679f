"""Interface of a kind of output: functions for targets, splits, outputs, loss and decoding.

Letters: B batch, T frames, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from earbit.audio.splits import Splits
from earbit.superb.task import Example

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
    encode: Callable[[Any, Slots], Tensor]
    """Target -> int64 vector; raises DataError for a name without training examples."""
    loss: Callable[[Tensor, Tensor, Sequence[Tensor], Slots], Tensor]
    """(outputs, lengths in frames (B,), encoded targets, slots) -> mean loss of the batch."""
    decode: Callable[[Tensor, Slots], Any]
    """Outputs (C,) or (T, C) of one clip without padding -> prediction, comparable to a target."""
    min_frames: Callable[[Any], int]
    """Minimum number of frames for a nonzero probability of the target."""
