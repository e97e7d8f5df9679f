"""Builds the examples of a task from the labels of a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from earbit.audio.clips import path_of
from earbit.audio.corpus import Corpus
from earbit.audio.folds import fold_splits
from earbit.audio.splits import Splits
from earbit.audio.utf8 import read_utf8
from earbit.corpora.published import TRIALS_NAME
from earbit.errors import DataError
from earbit.heads.example import Example, Trial
from earbit.heads.kinds.table import KINDS
from earbit.superb.task import Task


def task_splits(task: Task, corpus: Corpus) -> Splits[Example]:
    """Training, validation and test clips of a task, without reading audio.

    Cuts have the label of the task and `split` in their custom labels, and the speaker in their
    supervision.  Clips without the label are skipped and counted.  Raises DataError for a corpus
    without the label, and for splits that the kind of the task cannot use.
    """
    kind = KINDS[task.kind]
    labels = [_labels_of(cut) for cut in corpus.cuts]
    targets = [kind.target_of(value) for value in task.targets_of(labels)]
    examples: list[Example] = []
    split_of: dict[str, str | None] = {}
    fold_of: dict[str, str | None] = {}
    for cut, clip, target in zip(corpus.cuts, labels, targets, strict=True):
        if target is None:
            continue
        examples.append(Example(id=cut.id, target=target, speaker=clip["speaker"]))
        split = clip.get("split")
        split_of[cut.id] = split if isinstance(split, str) else None
        fold = clip.get("fold")
        fold_of[cut.id] = str(fold) if isinstance(fold, (str, int)) and fold != "" else None
    n_without = len(labels) - len(examples)
    if not examples:
        raise DataError(
            f"no clip among {n_without} has a usable `{task.label}`, which {task.title} needs "
            "in manifest.jsonl beside the audio (docs/corpus.md); `earbit prepare folder --root "
            "DIR --labels FILE.csv --out OUT` makes it from a table"
        )
    if task.is_folded and any(fold_of.values()):
        return fold_splits(examples, fold_of)
    trials: tuple[Trial, ...] = ()
    if task.kind == "vector" and (corpus.root / TRIALS_NAME).is_file():
        trials = _trials(corpus, {example.id for example in examples})
        tried = {clip for trial in trials for clip in (trial.first, trial.second)}
        held_out = {e.speaker for e in examples if e.id in tried}
        split_of |= {e.id: "test" for e in examples if e.id in tried}
        examples = [e for e in examples if e.id in tried or e.speaker not in held_out]
    splits = kind.splits(examples, split_of)
    summary = {**splits.summary, f"n_without_{task.label}": n_without}
    of_parts = {**splits.trials, "test": trials} if trials else splits.trials
    return replace(splits, trials=of_parts, summary=summary)


def _labels_of(cut: Any) -> Mapping[str, Any]:
    speaker = next((s.speaker for s in cut.supervisions if s.speaker), None)
    return {**(cut.custom or {}), "speaker": speaker}


def _trials(corpus: Corpus, with_speaker: set[str]) -> tuple[Trial, ...]:
    """Trials of a corpus.

    Raises DataError for lines that are no trial, files that are not in the corpus or have no
    speaker, and trials that are all matches or all not.
    """
    path = corpus.root / TRIALS_NAME
    id_of = {_relative(corpus.root, cut): cut.id for cut in corpus.cuts}
    trials = []
    for number, line in enumerate(read_utf8(path).decode("utf-8", "replace").splitlines(), start=1):
        if not line.strip():
            continue
        label, *files = line.split()
        if label not in ("0", "1") or len(files) != 2:
            raise DataError(
                f"{path}:{number}: {line[:60]!r}; expected `1 FILE FILE` or `0 FILE FILE`"
            )
        unknown = [file for file in files if file not in id_of]
        if unknown:
            raise DataError(
                f"{path}:{number}: {unknown[0]} is not in the corpus; add it to manifest.jsonl or "
                "remove the line"
            )
        first, second = (id_of[file] for file in files)
        if nameless := {first, second} - with_speaker:
            raise DataError(
                f"{path}:{number}: clip {min(nameless)!r} has no speaker; add it to manifest.jsonl "
                "or remove the line"
            )
        trials.append(Trial(first=first, second=second, is_match=label == "1"))
    if len({trial.is_match for trial in trials}) < 2:
        raise DataError(f"{path}: {len(trials)} trials; needed are lines with 1 and lines with 0")
    return tuple(trials)


def _relative(root: Path, cut: Any) -> str:
    path = path_of(cut)
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
