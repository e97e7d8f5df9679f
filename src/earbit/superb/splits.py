"""Splits of labelled clips: those of the corpus, or speakers held out where it has none.

Speakers are ordered by a hash of their name, so that the same corpus always gives the same splits,
in whatever order its files are listed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from earbit.errors import DataError
from earbit.superb.task import Example, Splits

NAMES = ("train", "valid", "test")
HELD_OUT_SHARES = {"test": 0.2, "valid": 0.1}
"""Of the clips; a split may be larger when its speakers have many clips."""


def class_splits(examples: Sequence[Example], split_of: Mapping[str, str | None]) -> Splits:
    """Splits for one class per clip.

    split_of: what the corpus says of a clip by its id: train, valid, test or None.  That holds;
    only valid or test clips that it lacks are drawn, by holding out speakers of the train clips and
    of those without a split, and the rest of these is train.  Valid clips that lack a class are
    taken as train, and drawn anew; test clips never are.  Raises DataError without train
    clips, for classes that a split lacks, naming them, and for clips without a speaker where
    speakers have to be held out.
    """
    examples = sorted(examples, key=lambda example: example.id)
    parts: dict[str, list[Example]] = {name: [] for name in NAMES}
    for example in examples:
        parts[split_of.get(example.id) or "train"].append(example)
    if not parts["train"]:
        raise DataError(
            f"no train clip among {len(examples)}; name some `train`, or leave `split` out of all, "
            "and speakers are held out"
        )
    classes = sorted({str(example.target) for example in examples})
    lacking = sorted({*classes} - {str(e.target) for e in parts["valid"]})
    is_given_up = bool(parts["valid"] and lacking)
    if is_given_up:
        parts = {**parts, "train": parts["train"] + parts["valid"], "valid": []}
    missing = {name: share for name, share in HELD_OUT_SHARES.items() if not parts[name]}
    if missing:
        parts |= hold_out_speakers(parts["train"], missing)
    counts = {name: Counter(str(e.target) for e in part) for name, part in parts.items()}
    _require_every_class(examples, counts, classes)
    summary = {
        "drawn_by": _drawn_by(missing, [split_of.get(example.id) for example in examples])
        + (f"; the corpus' valid lacks {', '.join(lacking[:8])}" if is_given_up else ""),
        "n_speakers": {n: len({e.speaker for e in parts[n]} - {None}) for n in NAMES},
        "n_shared_speakers": _n_shared_speakers(parts),
        "classes": {c: {n: counts[n][c] for n in NAMES} for c in classes},
    }
    return Splits(
        train=tuple(parts["train"]),
        valid=tuple(parts["valid"]),
        test=tuple(parts["test"]),
        summary=summary,
    )


def hold_out_speakers(
    examples: Sequence[Example], shares: Mapping[str, float]
) -> dict[str, list[Example]]:
    """Whole speakers for each name in `shares`, in its order; what is left is `train`.

    Every split first takes speakers with a class that it lacks, those with few clips before others
    so that train keeps the most; then any, by hash, until it has its share of the clips.  A speaker
    is not taken when one of its classes would then have fewer speakers than there are splits to
    follow.  Raises DataError for clips without a speaker.
    """
    nameless = [example.id for example in examples if example.speaker is None]
    if nameless:
        raise DataError(
            f"{len(nameless)} clips have no speaker, first {nameless[0]!r}; the corpus has no "
            "complete train, valid and test splits, and holding out speakers needs `speaker`"
        )
    clips_of: dict[str, list[Example]] = {}
    for example in examples:
        clips_of.setdefault(str(example.speaker), []).append(example)
    classes_of = {s: {e.target for e in clips} for s, clips in clips_of.items()}
    n_speakers_of = Counter(c for classes in classes_of.values() for c in classes)
    waiting = sorted(clips_of, key=lambda s: hashlib.sha256(s.encode()).digest())
    parts: dict[str, list[Example]] = {}
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


def _require_every_class(
    examples: Sequence[Example], counts: Mapping[str, Counter[str]], classes: Sequence[str]
) -> None:
    missing = [f"{c!r} in {n}" for n in NAMES for c in classes if not counts[n][c]]
    if missing:
        n_speakers = len({example.speaker for example in examples})
        raise DataError(
            f"no clip of {', '.join(missing[:8])}{' ...' if len(missing) > 8 else ''} "
            f"({n_speakers} speakers); every class needs a clip in train, valid and test: add "
            "clips of at least three speakers per class, or leave the class out"
        )


def _drawn_by(missing: Collection[str], given: Collection[str | None]) -> str:
    """Who drew the splits, in words."""
    by_speaker = f"{' and '.join(missing)} by speaker" if missing else ""
    if not any(given):
        return by_speaker
    n_without = sum(split is None for split in given)
    taken = f"{n_without} clips without a split taken as train" if n_without else ""
    return "; ".join(filter(None, ("corpus", taken, by_speaker)))


def _n_shared_speakers(parts: Mapping[str, Sequence[Example]]) -> int:
    """Speakers in more than one split, which happens only in splits that the corpus drew."""
    splits_of: dict[str, set[str]] = {}
    for name, part in parts.items():
        for example in part:
            if example.speaker is not None:
                splits_of.setdefault(example.speaker, set()).add(name)
    return sum(len(names) > 1 for names in splits_of.values())
