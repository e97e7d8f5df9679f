"""Intent classification: an intent of several slots, each one class.

Source: SUPERB, arXiv 2105.01051, as run by s3prl: a linear layer to 256, mean over frames, a linear
layer to the values of all slots, the sum of a cross-entropy per slot, 32 clips per update, 200,000
updates, accuracy of all slots together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earbit.superb.task import Labels, Protocol, Task

NO_VALUE = "none"


def intents(labels: Sequence[Labels]) -> list[Any]:
    """Intent, or intent and slot values, of every clip; None without either.

    `intent` is a class or a list of classes.  Where it is the same in all clips, the mapping
    `slots` tells them apart: a class per slot, `none` where a clip lacks the slot.
    """
    given = [_as_tuple(clip.get("intent")) for clip in labels]
    if len(set(given) - {None}) > 1:
        return list(given)
    slots = [clip.get("slots") for clip in labels]
    names = sorted({str(name) for slot in slots if isinstance(slot, Mapping) for name in slot})
    targets = [
        tuple(f"{name}={slot.get(name, NO_VALUE)}" for name in names)
        if isinstance(slot, Mapping)
        else None
        for slot in slots
    ]
    varied = [i for i in range(len(names)) if len({t[i] for t in targets if t is not None}) > 1]
    if not varied and any(given):
        return list(given)  # all of one class, which the splits refuse by its name
    return [None if t is None or not varied else tuple(t[i] for i in varied) for t in targets]


def _as_tuple(value: Any) -> tuple[str, ...] | None:
    parts = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(parts) if parts and all(isinstance(p, str) and p for p in parts) else None


IC = Task(
    name="ic",
    title="intent classification",
    label="intent",
    targets=intents,
    kind="class",
    head="mean_pool_linear",
    metrics=("accuracy", "slot_accuracy"),
    published=Protocol(batch_size=32, n_steps=200_000, n_checks=40, d_hidden=256),
    proxy=Protocol(lrs=(1e-1, 1e-2, 1e-3), batch_size=32, n_steps=600, n_checks=12, d_hidden=256),
    source="SUPERB, arXiv 2105.01051",
)
