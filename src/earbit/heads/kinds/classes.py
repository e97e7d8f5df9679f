"""Kind `class`: one class per clip, or one class per slot.

Each slot is a softmax over a part of one output vector, for example for intents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.audio.splits import NAMES, Splits, class_splits, speaker_splits
from earbit.errors import DataError
from earbit.heads.example import Example
from earbit.heads.head import Head
from earbit.heads.kinds.kind import Kind, Slots, clip_cases

Target = str | tuple[str, ...]


def class_target(value: Any) -> Target | None:
    """Parses a class or a tuple of one class per slot; returns None for other values."""
    parts = value if isinstance(value, (list, tuple)) else (value,)
    if not parts or not all(isinstance(part, str) and part for part in parts):
        return None
    return tuple(parts) if len(parts) > 1 else parts[0]


def class_or_slot_splits(
    examples: Sequence[Example], split_of: Mapping[str, str | None]
) -> Splits[Example]:
    """Splits with every class in every part, or by speaker alone for several slots.

    With several slots, a clip may have a combination that no training clip has.  Where speakers
    are the classes, clips are held out instead of speakers, and splits of the corpus that hold out
    speakers are not used.  Raises DataError as `class_slots` does for the training clips.
    """
    if any(isinstance(example.target, tuple) for example in examples):
        class_slots([example.target for example in examples])  # as many slots in every part
        splits = speaker_splits(examples, split_of)
        class_slots([example.target for example in splits.train])
        return splits
    if any(example.target != example.speaker for example in examples):
        return class_splits(examples, split_of)
    part_of = {e.id: split_of.get(e.id) or "train" for e in examples}
    speakers_of = {part: {e.target for e in examples if part_of[e.id] == part} for part in NAMES}
    is_usable = speakers_of["valid"] | speakers_of["test"] <= speakers_of["train"]
    alone = [replace(example, speaker=None) for example in examples]
    splits = class_splits(alone, split_of if is_usable else {})
    of_id = {example.id: example for example in examples}
    summary = dict(splits.summary)
    if not is_usable:
        summary["drawn_by"] += ", since the corpus' splits hold out speakers"
    train, valid, test = (
        tuple(of_id[e.id] for e in part) for part in (splits.train, splits.valid, splits.test)
    )
    return Splits(train=train, valid=valid, test=test, summary=summary)


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


def class_indices(target: Target, slots: Slots, n_frames: int, hop_samples: int) -> Tensor:
    """Index of the class in every slot, int64 (n_slots,); ignores the length of the clip."""
    for part, slot in zip(_parts(target), slots, strict=True):
        if part not in slot:
            raise DataError(f"class {part!r} has no training clip; known are {', '.join(slot)}")
    pairs = zip(_parts(target), slots, strict=True)
    return torch.tensor([slot.index(part) for part, slot in pairs])


def class_loss(
    head: Head, outputs_BC: Tensor, lengths: Tensor, targets: Sequence[Tensor], slots: Slots
) -> Tensor:
    """Cross-entropy, summed over slots and averaged over the batch; ignores head and lengths."""
    indices_BS = torch.stack(list(targets))
    parts = torch.split(outputs_BC, [len(slot) for slot in slots], dim=1)
    losses = [F.cross_entropy(part, indices_BS[:, i]) for i, part in enumerate(parts)]
    return torch.stack(losses).sum()


def likeliest_class(outputs_C: Tensor, slots: Slots, hop_samples: int, setting: None) -> Target:
    """Class with the largest output, for every slot if there are several."""
    parts = torch.split(outputs_C, [len(slot) for slot in slots])
    found = tuple(slot[int(part.argmax())] for slot, part in zip(slots, parts, strict=True))
    return found[0] if len(found) == 1 else found


def _parts(target: Target) -> tuple[str, ...]:
    return (target,) if isinstance(target, str) else target


CLASS = Kind(
    target_of=class_target,
    splits=class_or_slot_splits,
    slots_of=class_slots,
    encode=class_indices,
    loss=class_loss,
    decode=likeliest_class,
    cases=clip_cases,
    min_frames=lambda target: 1,
)
