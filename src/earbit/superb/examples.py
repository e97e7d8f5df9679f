"""Builds the examples of a task from the labels of a corpus."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from earbit.audio.splits import Splits
from earbit.errors import DataError
from earbit.superb.kinds.table import KINDS
from earbit.superb.task import Example, Task


def task_splits(task: Task, cuts: Iterable[Any]) -> Splits[Example]:
    """Training, validation and test clips of a task, without reading audio.

    cuts: Lhotse cuts with the label of the task and `split` in their custom labels, and the speaker
    in their supervision.  Clips without the label are skipped and counted.  Raises DataError for a
    corpus without the label, and for splits that the kind of the task cannot use.
    """
    kind = KINDS[task.kind]
    examples: list[Example] = []
    split_of: dict[str, str | None] = {}
    n_without = 0
    for cut in cuts:
        labels = cut.custom or {}
        target = kind.target_of(labels.get(task.label))
        if target is None:
            n_without += 1
            continue
        speaker = next((s.speaker for s in cut.supervisions if s.speaker), None)
        examples.append(Example(id=cut.id, target=target, speaker=speaker))
        split = labels.get("split")
        split_of[cut.id] = split if isinstance(split, str) else None
    if not examples:
        raise DataError(
            f"none of the {n_without} clips has a {task.label}; {task.title} needs `{task.label}` "
            "in manifest.jsonl beside the audio (docs/corpus.md); `earbit prepare folder --root "
            "DIR --labels FILE.csv --out OUT` makes it from a table"
        )
    splits = kind.splits(examples, split_of)
    return replace(splits, summary={**splits.summary, f"n_without_{task.label}": n_without})
