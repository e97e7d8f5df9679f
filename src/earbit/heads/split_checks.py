"""Checks of the splits of a task before heads are trained, and remarks about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from earbit.audio.splits import NAMES, Splits
from earbit.errors import DataError
from earbit.heads.example import Example
from earbit.heads.kinds.kind import Kind
from earbit.progress import say


def require_parts(splits: Splits[Example], purpose: str) -> None:
    """Raises DataError for an empty part; purpose: subject of the message, as in "scoring"."""
    for name in NAMES:
        if not getattr(splits, name):
            raise DataError(f"no {name} clips; {purpose} needs train, valid and test clips")


def say_short(
    kind: Kind, label: str, train: Sequence[Example], n_frames: Callable[[str], int]
) -> None:
    """Prints the number of training clips that are too short for their target.

    label: name of the targets.  n_frames: id -> frames of a clip.
    """
    n_short = sum(n_frames(e.id) < kind.min_frames(e.target) for e in train)
    if n_short:
        say(
            f"{n_short} of {len(train)} training clips have fewer frames than their {label} needs; "
            "they do not contribute to training"
        )


def say_splits(task: str, splits: Splits[Example]) -> None:
    """Prints the origin of drawn splits and a number of unusable labels.  task: its name."""
    if unusable := splits.summary.get("unusable"):
        say(f"{task}: {unusable}; they are left out (docs/corpus.md describes labels)")
    if (drawn_by := splits.summary.get("drawn_by", "corpus")) != "corpus":
        say(f"splits for {task}: {drawn_by}")
