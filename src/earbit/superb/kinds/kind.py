"""What a kind of output is: targets, splits, outputs, loss and decoding, as functions.

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
"""Names of the outputs of a head, for each softmax over a part of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of output, which any number of tasks share."""

    target_of: Callable[[Any], Any]
    """Value of a manifest label -> target; None where the value cannot be one."""
    splits: Callable[[Sequence[Example], Mapping[str, str | None]], Splits[Example]]
    """(examples, split of the corpus by id) -> splits; DataError where they do not serve."""
    slots_of: Callable[[Sequence[Any]], Slots]
    """Training targets -> names of the outputs."""
    encode: Callable[[Any, Slots], Tensor]
    """Target -> int64 vector; DataError for a name that training does not have."""
    loss: Callable[[Tensor, Tensor, Sequence[Tensor], Slots], Tensor]
    """(outputs, lengths in frames (B,), encoded targets, slots) -> mean loss of the batch."""
    decode: Callable[[Tensor, Slots], Any]
    """Outputs (C,) or (T, C) of one clip without padding -> prediction, comparable to a target."""
    min_frames: Callable[[Any], int]
    """Frames that a clip needs for its target to have a probability."""
