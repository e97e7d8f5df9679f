"""Splits for cross-validation, by the label `fold` of a corpus."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from earbit.audio.splits import Clip, Splits
from earbit.errors import DataError

VALID_SHARE = 0.2
"""Fraction of the clips outside of the test fold that are for validation."""
MAX_FOLDS = 20


def fold_splits(examples: Sequence[Clip], fold_of: Mapping[str, str | None]) -> Splits[Clip]:
    """Draws cross-validation splits: the first fold, and all folds in `folds`.

    fold_of: fold by clip id.  The test clips are those of the fold.  A fifth of the others, of each
    class in the order of a hash of the id, is for validation.  Raises DataError for clips without a
    fold, fewer than two folds or more than MAX_FOLDS, and a class without clips in two folds.
    """
    without = [e.id for e in examples if fold_of.get(e.id) is None]
    if without:
        raise DataError(
            f"{len(without)} of {len(examples)} clips have no `fold`, the first {without[0]!r}; "
            "give every clip a fold in manifest.jsonl, or none"
        )
    names = sorted({str(fold_of[e.id]) for e in examples})
    if not 2 <= len(names) <= MAX_FOLDS:
        raise DataError(f"{len(names)} values of `fold`; 2 to {MAX_FOLDS} are allowed")
    folds = {name: _fold(name, examples, fold_of) for name in names}
    counts = {name: len(fold.test) for name, fold in folds.items()}
    n_of_class = Counter(str(e.target) for e in examples)  # each clip is tested once
    summary = {
        "drawn_by": f"{len(names)} folds, valid by id within each",
        "folds": counts,
        "classes": {name: {"test": n_of_class[name]} for name in sorted(n_of_class)},
    }
    return replace(folds[names[0]], folds=folds, summary=summary)


def _fold(name: str, examples: Sequence[Clip], fold_of: Mapping[str, str | None]) -> Splits[Clip]:
    ordered = sorted(examples, key=lambda e: hashlib.sha256(e.id.encode()).digest())
    test = [e for e in ordered if fold_of[e.id] == name]
    rest = [e for e in ordered if fold_of[e.id] != name]
    n_of_class = Counter(e.target for e in rest)
    missing = sorted({str(e.target) for e in test if not n_of_class[e.target]})
    if missing or len(n_of_class) < 2:
        raise DataError(
            f"fold {name!r}: "
            + (
                f"no clip of {', '.join(missing)} outside of it; every class needs clips in two "
                "folds"
                if missing
                else f"{len(n_of_class)} class outside of it; at least two classes are needed"
            )
        )
    n_valid_of = {c: min(math.ceil(VALID_SHARE * n), n - 1) for c, n in n_of_class.items()}
    parts: dict[str, list[Clip]] = {"train": [], "valid": []}
    for example in rest:
        is_valid = n_valid_of[example.target] > 0
        parts["valid" if is_valid else "train"].append(example)
        n_valid_of[example.target] -= is_valid
    if not parts["valid"]:
        raise DataError(
            f"fold {name!r}: one clip of each class outside of it; at least two clips of a class "
            "are needed, to train and to validate"
        )
    parts["test"] = test
    of = {part: tuple(sorted(clips, key=lambda e: e.id)) for part, clips in parts.items()}
    summary = {"drawn_by": f"fold {name}"}
    return Splits(train=of["train"], valid=of["valid"], test=of["test"], summary=summary)
