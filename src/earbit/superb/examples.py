"""Builds the examples of a task from the labels of a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from earbit.audio.corpus import Corpus
from earbit.audio.folds import fold_splits
from earbit.audio.splits import Splits
from earbit.corpora.published import TRIALS_NAME
from earbit.errors import DataError
from earbit.heads.example import Example, Trial
from earbit.heads.kinds.table import KINDS
from earbit.heads.trials import trials_of
from earbit.superb.task import Task


def task_splits(task: Task, corpus: Corpus) -> Splits[Example]:
    """Training, validation and test clips of a task, without reading audio.

    Cuts have the label of the task and `split` in their custom labels, and the speaker in their
    supervision.  Clips without the label, or with an unusable one, are skipped and counted.  Raises
    DataError for a corpus without the label, and for splits that the kind of the task cannot use.
    """
    kind = KINDS[task.kind]
    labels = [_labels_of(cut) for cut in corpus.cuts]
    targets = [kind.target_of(value) for value in task.targets_of(labels)]
    examples: list[Example] = []
    split_of: dict[str, str | None] = {}
    fold_of: dict[str, str | None] = {}
    unusable = []
    for cut, clip, target in zip(corpus.cuts, labels, targets, strict=True):
        if target is None:
            unusable += [cut.id] if clip.get(task.label) not in (None, "") else []
            continue
        examples.append(Example(id=cut.id, target=target, speaker=clip["speaker"]))
        split = clip.get("split")
        split_of[cut.id] = split if isinstance(split, str) else None
        fold = clip.get("fold")
        fold_of[cut.id] = str(fold) if isinstance(fold, (str, int)) and fold != "" else None
    n_without = len(labels) - len(examples)
    if not examples:
        cure = (
            f"such as {task.example}; a table (--labels) cannot hold it"
            if task.example
            else "`earbit prepare folder --root DIR --labels FILE.csv --out OUT` makes it from a "
            f"table with the columns path and {task.label}"
        )
        raise DataError(
            f"no clip among {n_without} has a usable `{task.label}`, which {task.title} needs "
            f"in manifest.jsonl beside the audio (docs/corpus.md); {cure}"
        )
    counts: dict[str, Any] = {f"n_without_{task.label}": n_without}
    if unusable:
        counts["unusable"] = (
            f"{len(unusable)} clips, such as {unusable[0]!r}, have an unusable `{task.label}`"
        )
    if task.is_folded and any(fold_of.values()):
        splits = fold_splits(examples, fold_of)
        return replace(splits, summary={**splits.summary, **counts})
    trials: tuple[Trial, ...] = ()
    if task.kind == "vector" and (corpus.root / TRIALS_NAME).is_file():
        trials = trials_of(corpus, {example.id for example in examples})
        tried = {clip for trial in trials for clip in (trial.first, trial.second)}
        held_out = {e.speaker for e in examples if e.id in tried}
        split_of |= {e.id: "test" for e in examples if e.id in tried}
        examples = [e for e in examples if e.id in tried or e.speaker not in held_out]
    splits = kind.splits(examples, split_of)
    of_parts = {**splits.trials, "test": trials} if trials else splits.trials
    summary = {**splits.summary, **counts}
    if task.kind == "vector":
        summary["trials"] = TRIALS_NAME if trials else "drawn"
        summary["n_trials"] = {name: len(of_part) for name, of_part in of_parts.items()}
    return replace(splits, trials=of_parts, summary=summary)


def _labels_of(cut: Any) -> Mapping[str, Any]:
    speaker = next((s.speaker for s in cut.supervisions if s.speaker), None)
    return {**(cut.custom or {}), "speaker": speaker}
