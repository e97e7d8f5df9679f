"""Splits of labelled clips: those of the corpus, or speakers held out where it has none.

Speakers are ordered by a hash of their name, so that the same corpus always gives the same splits,
in whatever order its files are listed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from earbit.errors import DataError
from earbit.superb.task import Example, Splits

NAMES = ("train", "valid", "test")
HELD_OUT_SHARES = {"test": 0.2, "valid": 0.1}
"""Of the clips; a split may be larger when its speakers have many clips."""


def class_splits(examples: Sequence[Example], split_of: Mapping[str, str | None]) -> Splits:
    """Splits for one class per clip.

    split_of: what the corpus says of a clip by its id.  Its own splits hold when every clip has
    one and train, valid and test all occur.  Otherwise, speakers are held out: first for test,
    where the corpus has none, then for valid.  Raises DataError, naming them, for classes that
    a split lacks, and for clips without a speaker where speakers have to be held out.
    """
    examples = sorted(examples, key=lambda example: example.id)
    labels = {split_of.get(example.id) for example in examples}
    if labels == set(NAMES):
        drawn_by = "corpus"
        parts = {n: [e for e in examples if split_of[e.id] == n] for n in NAMES}
    elif labels == {"train", "test"}:
        drawn_by = "corpus; valid by speaker"
        test = [e for e in examples if split_of[e.id] == "test"]
        rest = [e for e in examples if split_of[e.id] == "train"]
        parts = {**hold_out_speakers(rest, {"valid": HELD_OUT_SHARES["valid"]}), "test": test}
    else:
        drawn_by = "speaker"
        parts = hold_out_speakers(examples, HELD_OUT_SHARES)
    counts = {name: Counter(str(e.target) for e in part) for name, part in parts.items()}
    classes = sorted({str(example.target) for example in examples})
    _require_every_class(examples, counts, classes)
    summary = {
        "drawn_by": drawn_by,
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


def _n_shared_speakers(parts: Mapping[str, Sequence[Example]]) -> int:
    """Speakers in more than one split, which happens only in splits that the corpus drew."""
    splits_of: dict[str, set[str]] = {}
    for name, part in parts.items():
        for example in part:
            if example.speaker is not None:
                splits_of.setdefault(example.speaker, set()).add(name)
    return sum(len(names) > 1 for names in splits_of.values())
