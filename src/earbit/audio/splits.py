"""Training, validation and test clips: by the labels of the corpus, or drawn by a hash.

Splits depend on the corpus and not on the order of its files.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from earbit.errors import DataError

NAMES = ("train", "valid", "test")
HELD_OUT_SHARES = {"test": 0.2, "valid": 0.1}
"""Fractions of clips; a split may be larger if its speakers have many clips."""
RESPLIT = "--resplit ignores `split` and draws new splits"


class LabelledClip(Protocol):
    """One clip with one class."""

    @property
    def id(self) -> str:
        """Unique name."""

    @property
    def target(self) -> Any:
        """The class."""

    @property
    def speaker(self) -> str | None:
        """Speaker; None if unknown."""


Clip = TypeVar("Clip", bound=LabelledClip)


@dataclass(frozen=True, kw_only=True, slots=True)
class Splits(Generic[Clip]):
    """Clips for training, validation and test of a head."""

    train: tuple[Clip, ...]
    valid: tuple[Clip, ...]
    test: tuple[Clip, ...]
    trials: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Pairs of clips to compare, by split, for tasks that compare clips."""
    folds: Mapping[str, Splits[Clip]] = field(default_factory=dict)
    """Splits of every fold by its name, for cross-validation; this one is that of the first."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """JSON values for the result file: origin of the splits, counts."""

    @property
    def ids(self) -> set[str]:
        """Ids of all clips."""
        return {clip.id for part in (self.train, self.valid, self.test) for clip in part}


def splits_said(given: Mapping[str | None, int], clips: str) -> str:
    """Text about the splits of a corpus: `all 9 clips have split: test`."""
    counts = [(f"`split: {name}`" if name else "no split", n) for name, n in given.items() if n]
    if len(counts) == 1:
        return f"all {counts[0][1]} {clips} have {counts[0][0]}"
    return f"of {sum(given.values())} {clips} " + ", ".join(f"{n} have {s}" for s, n in counts)


def class_splits(examples: Sequence[Clip], split_of: Mapping[str, str | None]) -> Splits[Clip]:
    """Splits clips with one class per clip.

    split_of: the split in the corpus by clip id: train, valid, test or None.  It is kept.  Only a
    missing valid or test split is drawn from train and unsplit clips, by holding out speakers, or
    clips where there are too few speakers; the rest is train.  Valid clips that lack a class are
    taken as train and drawn anew; test clips never are.  Clips without a speaker are held out one
    by one, by id.  Raises DataError for a single class, for missing train clips, and, naming them,
    for classes missing in a split.
    """
    examples = sorted(examples, key=lambda example: example.id)
    classes = sorted({str(example.target) for example in examples})
    if len(classes) < 2:
        what = f"all of the class {classes[0]!r}" if classes else "so no class"
        raise DataError(
            f"{len(examples)} clips, {what}; at least two classes are needed, each with a clip in "
            "train, valid and test"
        )
    parts = _given_parts(examples, split_of)
    lacking = sorted({*classes} - {str(e.target) for e in parts["valid"]})
    is_given_up = bool(parts["valid"] and lacking)
    if is_given_up:
        parts = {**parts, "train": parts["train"] + parts["valid"], "valid": []}
    parts, summary = _with_missing_drawn(parts, split_of, class_of=lambda clip: clip.target)
    counts = {name: Counter(str(e.target) for e in part) for name, part in parts.items()}
    _require_every_class(examples, counts, classes, _resplit_advice(split_of))
    if is_given_up:
        summary["drawn_by"] += (
            f"; the valid clips of the corpus have none of {', '.join(lacking[:8])}"
            f"{' ...' if len(lacking) > 8 else ''}, so they are used for training"
        )
    summary["classes"] = {c: {n: counts[n][c] for n in NAMES} for c in classes}
    return _splits(parts, summary)


def speaker_splits(examples: Sequence[Clip], split_of: Mapping[str, str | None]) -> Splits[Clip]:
    """Splits clips without classes, for example with texts, like `class_splits`.

    Raises DataError for a split without clips.
    """
    parts, summary = _with_missing_drawn(
        _given_parts(examples, split_of), split_of, class_of=lambda clip: None
    )
    if empty := [name for name in NAMES if not parts[name]]:
        raise DataError(
            f"no {' and no '.join(empty)} clip among {len(examples)} clips of "
            f"{speakers_text(examples)}; at least three clips are needed, one each to train, to "
            f"validate and to test{_resplit_advice(split_of)}"
        )
    return _splits(parts, summary)


def _given_parts(
    examples: Sequence[Clip], split_of: Mapping[str, str | None]
) -> dict[str, list[Clip]]:
    """Clips by split, sorted by id; those without a split are train. Raises DataError without."""
    parts: dict[str, list[Clip]] = {name: [] for name in NAMES}
    for example in sorted(examples, key=lambda example: example.id):
        parts[split_of.get(example.id) or "train"].append(example)
    if examples and not parts["train"]:
        given = splits_said({name: len(part) for name, part in parts.items()}, "clips")
        raise DataError(f"{given}; clips to train on are needed; {RESPLIT}")
    return parts


def _with_missing_drawn(
    parts: Mapping[str, list[Clip]],
    split_of: Mapping[str, str | None],
    class_of: Callable[[Clip], object],
) -> tuple[dict[str, list[Clip]], dict[str, Any]]:
    """Draws empty valid and test splits from train; returns the splits and their summary."""
    missing = {name: share for name, share in HELD_OUT_SHARES.items() if not parts[name]}
    drawn = dict(parts)
    n_known = len({clip.speaker for clip in parts["train"]} - {None})
    are_few = 0 < n_known < 1 + len(missing)
    if missing:
        drawn |= hold_out_speakers(parts["train"], missing, class_of, by_clip=are_few)
    given = [split_of.get(clip.id) for part in parts.values() for clip in part]
    return drawn, {
        "drawn_by": _drawn_by(missing, drawn, given, n_known if are_few else None),
        "n_speakers": {n: len({e.speaker for e in drawn[n]} - {None}) for n in NAMES},
        "n_shared_speakers": _n_shared_speakers(drawn),
    }


def _splits(parts: Mapping[str, Sequence[Clip]], summary: Mapping[str, Any]) -> Splits[Clip]:
    train, valid, test = (tuple(parts[name]) for name in NAMES)
    return Splits(train=train, valid=valid, test=test, summary=summary)


def hold_out_speakers(
    examples: Sequence[Clip],
    shares: Mapping[str, float],
    class_of: Callable[[Clip], object] = lambda clip: clip.target,
    *,
    by_clip: bool = False,
) -> dict[str, list[Clip]]:
    """Assigns whole speakers to each split in `shares`, in order, and the rest to `train`.

    Every split first takes speakers with a missing class, in order of increasing number of clips so
    that train keeps the most; then others, in order of their hash, up to its fraction of the clips.
    A speaker is not taken if one of its classes would be left with fewer speakers than remaining
    splits.  A clip without a speaker counts as a speaker of its own, as every clip does `by_clip`.
    """
    clips_of: dict[tuple[bool, str], list[Clip]] = {}
    for example in examples:
        is_known = example.speaker is not None and not by_clip
        key = (is_known, str(example.speaker) if is_known else example.id)
        clips_of.setdefault(key, []).append(example)
    classes_of = {s: {class_of(e) for e in clips} for s, clips in clips_of.items()}
    n_speakers_of = Counter(c for classes in classes_of.values() for c in classes)
    waiting = sorted(clips_of, key=lambda s: hashlib.sha256(s[1].encode()).digest())
    parts: dict[str, list[Clip]] = {}
    for n_later, (name, share) in zip(range(len(shares), 0, -1), shares.items(), strict=True):
        parts[name] = []
        n_wanted = share * len(examples)
        covered: set[object] = set()
        for only_new_classes in (True, False):
            few_clips_first = sorted(waiting, key=lambda speaker: len(clips_of[speaker]))
            for speaker in few_clips_first if only_new_classes else list(waiting):
                is_new = bool(classes_of[speaker] - covered)
                is_short = len(parts[name]) < n_wanted
                is_spare = all(n_speakers_of[c] > n_later for c in classes_of[speaker])
                if is_spare and (is_new if only_new_classes else is_short):
                    parts[name] += clips_of[speaker]
                    covered |= classes_of[speaker]
                    n_speakers_of.subtract(classes_of[speaker])
                    waiting.remove(speaker)
    parts["train"] = [example for speaker in waiting for example in clips_of[speaker]]
    return {name: sorted(part, key=lambda example: example.id) for name, part in parts.items()}


def speakers_text(clips: Iterable[LabelledClip]) -> str:
    """The number of speakers of clips for a message."""
    n = len({clip.speaker for clip in clips} - {None})
    return "unknown speakers" if not n else "one speaker" if n == 1 else f"{n} speakers"


def _resplit_advice(split_of: Mapping[str, str | None]) -> str:
    """End of an error; empty for a corpus without splits."""
    return f"; {RESPLIT}" if any(split_of.values()) else ""


def _require_every_class(
    examples: Sequence[LabelledClip],
    counts: Mapping[str, Counter[str]],
    classes: Sequence[str],
    advice: str,
) -> None:
    missing = [f"{c!r} in {n}" for n in NAMES for c in classes if not counts[n][c]]
    if missing:
        n_speakers = len({example.speaker for example in examples} - {None})
        least = "clips of at least three speakers" if n_speakers >= len(NAMES) else "three clips"
        raise DataError(
            f"no clip of {', '.join(missing[:8])}{' ...' if len(missing) > 8 else ''} "
            f"({speakers_text(examples)}); every class needs a clip in train, valid and test: "
            f"add {least} per class, or leave the class out{advice}"
        )


def _drawn_by(
    missing: Collection[str],
    parts: Mapping[str, Sequence[LabelledClip]],
    given: Collection[str | None],
    n_few: int | None,
) -> str:
    """Text about the origin of the splits.  n_few: number of speakers if it is too small."""
    by_speaker = ""
    if n_few is not None:
        only = "one speaker" if n_few == 1 else f"{n_few} speakers"
        by_speaker = f"{' and '.join(missing)} by clip, since the corpus has only {only}"
    elif missing:
        drawn = [clip for name in ("train", *missing) for clip in parts[name]]
        n_nameless = sum(clip.speaker is None for clip in drawn)
        how = "id" if n_nameless == len(drawn) else "speaker"
        by_speaker = f"{' and '.join(missing)} by {how}"
        if 0 < n_nameless < len(drawn):
            by_speaker += f", {n_nameless} clips without a speaker by id"
    if not any(given):
        return by_speaker
    n_without = sum(split is None for split in given)
    taken = f"{n_without} clips without a split taken as train" if n_without else ""
    return "; ".join(filter(None, ("corpus", taken, by_speaker)))


def _n_shared_speakers(parts: Mapping[str, Sequence[LabelledClip]]) -> int:
    """Number of speakers in more than one split, which only splits of the corpus can have."""
    splits_of: dict[str, set[str]] = {}
    for name, part in parts.items():
        for example in part:
            if example.speaker is not None:
                splits_of.setdefault(example.speaker, set()).add(name)
    return sum(len(names) > 1 for names in splits_of.values())
