"""Kind `class`: one class per clip, or one class per slot.

Each slot is a softmax over a part of one output vector, for example for intents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.audio.splits import class_splits
from earbit.errors import DataError
from earbit.superb.kinds.kind import Kind, Slots

Target = str | tuple[str, ...]


def class_target(value: Any) -> Target | None:
    """Parses a class or a tuple of one class per slot; returns None for other values."""
    parts = value if isinstance(value, (list, tuple)) else (value,)
    if not parts or not all(isinstance(part, str) and part for part in parts):
        return None
    return tuple(parts) if len(parts) > 1 else parts[0]


def class_slots(targets: Sequence[Target]) -> Slots:
    """Sorted classes of every slot.

    Raises DataError for a slot with fewer than two classes, and for targets with different numbers
    of slots.
    """
    rows = [_parts(target) for target in targets]
    sizes = {len(row) for row in rows}
    if len(sizes) > 1:
        raise DataError(f"labels with {sorted(sizes)} slots; every clip needs the same number")
    slots = tuple(tuple(sorted(set(column))) for column in zip(*rows, strict=True))
    if not slots or min(map(len, slots)) < 2:
        names = [name for slot in slots for name in slot]
        raise DataError(
            f"the only class among {len(targets)} clips is {', '.join(names) or 'none'}; "
            "a classifier needs at least two"
        )
    return slots


def class_indices(target: Target, slots: Slots) -> Tensor:
    """Index of the class in every slot, int64 (n_slots,)."""
    for part, slot in zip(_parts(target), slots, strict=True):
        if part not in slot:
            raise DataError(f"class {part!r} has no training clip; known are {', '.join(slot)}")
    pairs = zip(_parts(target), slots, strict=True)
    return torch.tensor([slot.index(part) for part, slot in pairs])


def class_loss(
    outputs_BC: Tensor, lengths: Tensor, targets: Sequence[Tensor], slots: Slots
) -> Tensor:
    """Cross-entropy, summed over slots and averaged over the batch; ignores lengths."""
    indices_BS = torch.stack(list(targets))
    parts = torch.split(outputs_BC, [len(slot) for slot in slots], dim=1)
    losses = [F.cross_entropy(part, indices_BS[:, i]) for i, part in enumerate(parts)]
    return torch.stack(losses).sum()


def likeliest_class(outputs_C: Tensor, slots: Slots) -> Target:
    """Class with the largest output, for every slot if there are several."""
    parts = torch.split(outputs_C, [len(slot) for slot in slots])
    found = tuple(slot[int(part.argmax())] for slot, part in zip(slots, parts, strict=True))
    return found[0] if len(found) == 1 else found


def _parts(target: Target) -> tuple[str, ...]:
    return (target,) if isinstance(target, str) else target


CLASS = Kind(
    target_of=class_target,
    splits=class_splits,
    slots_of=class_slots,
    encode=class_indices,
    loss=class_loss,
    decode=likeliest_class,
    min_frames=lambda target: 1,
)
