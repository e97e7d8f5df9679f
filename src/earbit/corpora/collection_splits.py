"""Splits of the clips of a collection, by task.

Clips are drawn in the order of a hash of their speaker or path, so splits do not depend on the
order of the manifests.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MIN_TEST_CLIPS = 100
"""Target size of the test split, at most a fifth of all clips."""
MAX_CLIPS_OF_SPEAKER = 40
"""Clips of a speaker for identification, so that no speaker dominates the score."""
MIN_TRAINING_SPEAKERS = 20
"""Speakers with several clips outside of the trials from which on all trials are for testing."""
MAX_FOLDS = 5
SplitOf = Mapping[str, Mapping[str, str]]
"""Label `split` or `fold` by clip id."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A line of a manifest of a collection."""

    id: str
    corpus: str
    path: str
    """Path relative to the collection."""
    labels: Mapping[str, Any]

    @property
    def tags(self) -> Sequence[str]:
        """Entries of the field `tasks`."""
        return [str(tag) for tag in self.labels.get("tasks") or []]

    @property
    def speaker(self) -> str | None:
        """Name of the speaker, or the guess of one."""
        name = self.labels.get("speaker") or self.labels.get("pseudo_speaker")
        return None if name is None else str(name)


def given_or_none(clips: Sequence[Clip]) -> SplitOf:
    """The splits of the manifests."""
    return {
        c.id: {"split": c.labels["split"]} if c.labels.get("split") is not None else {}
        for c in clips
    }


def with_test(clips: Sequence[Clip]) -> SplitOf:
    """The splits of the manifests; without test clips, these are drawn, with whole speakers.

    First, validation clips of speakers without training clips are for testing: no training has
    heard them.  If they are fewer than MIN_TEST_CLIPS, training speakers follow.  A tenth of the
    clips, of other training speakers, is for validation.
    """
    split_of = {c.id: str(c.labels.get("split") or "train") for c in clips}
    if "test" in split_of.values():
        return {name: {"split": split} for name, split in split_of.items()}
    of_speaker = _by_speaker(clips)
    parts_of = {s: {split_of[c.id] for c in own} for s, own in of_speaker.items()}
    n_wanted = {"test": min(MIN_TEST_CLIPS, len(clips) / 5), "valid": len(clips) / 10}
    for speaker, own in of_speaker.items():
        if parts_of[speaker] == {"valid"}:
            split_of |= {c.id: "test" for c in own}
    waiting = [s for s in _in_order(of_speaker) if parts_of[s] == {"train"}]
    for part, n in n_wanted.items():
        for speaker in list(waiting):
            n_clips = len(of_speaker[speaker])
            if Counter(split_of.values())[part] < n and n_clips <= n and len(waiting) > 1:
                split_of |= {c.id: part for c in of_speaker[speaker]}
                waiting.remove(speaker)
    return {name: {"split": split} for name, split in split_of.items()}


def by_clip(clips: Sequence[Clip]) -> SplitOf:
    """A fifth of the clips of every speaker for testing and a tenth for validation, at least one.

    Speakers with fewer than three clips are left out, and clips after MAX_CLIPS_OF_SPEAKER.
    """
    split_of: dict[str, Mapping[str, str]] = {}
    for own in _by_speaker(clips).values():
        kept = sorted(own, key=lambda c: _hash(c.path))[:MAX_CLIPS_OF_SPEAKER]
        if len(kept) < 3:
            continue
        n_test, n_valid = max(1, len(kept) // 5), max(1, len(kept) // 10)
        parts = ["test"] * n_test + ["valid"] * n_valid
        parts += ["train"] * (len(kept) - len(parts))
        split_of |= {c.id: {"split": part} for c, part in zip(kept, parts, strict=True)}
    return split_of


def folds_by_speaker(clips: Sequence[Clip]) -> SplitOf:
    """Up to MAX_FOLDS folds of whole speakers, with about as many clips each."""
    of_speaker = _by_speaker(clips)
    n_folds = min(MAX_FOLDS, len(of_speaker))
    if n_folds < 2:
        return given_or_none(clips)
    folds: list[list[Clip]] = [[] for _ in range(n_folds)]
    for speaker in sorted(of_speaker, key=lambda s: (-len(of_speaker[s]), s)):
        min(folds, key=len).extend(of_speaker[speaker])
    return {c.id: {"fold": str(i)} for i, fold in enumerate(folds, start=1) for c in fold}


def for_trials(clips: Sequence[Clip], tried: set[str]) -> SplitOf:
    """Test clips of trials, and training and validation clips of other speakers.

    tried: ids of the clips of trials.  If fewer than MIN_TRAINING_SPEAKERS others have several
    clips, half of the speakers of the trials are for training and validation.  A tenth of the
    speakers with several clips, at least two, is for validation.  Without trials there are no
    splits.
    """
    if not tried:
        return {c.id: {} for c in clips}
    of_speaker = _by_speaker(clips)
    in_trials = {c.speaker for c in clips if c.id in tried}
    several = [s for s in _in_order(of_speaker) if len(of_speaker[s]) > 1]
    held_out = [s for s in _in_order(of_speaker) if s in in_trials]
    if sum(s not in in_trials for s in several) < MIN_TRAINING_SPEAKERS:
        held_out = held_out[: (len(held_out) + 1) // 2]
    others = [s for s in several if s not in held_out]
    # The first ones are mostly not in the trials, where half of these speakers are held out.
    valid = set(others[-max(2, len(others) // 10) :])
    split_of: dict[str, Mapping[str, str]] = {}
    for speaker, own in of_speaker.items():
        part = "test" if speaker in held_out else "valid" if speaker in valid else "train"
        split_of |= {c.id: {"split": part} for c in own if part != "test" or c.id in tried}
    return split_of


def in_turn(queries: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Splits of (file, word): of each word, every other file is for validation."""
    files_of: dict[str, set[str]] = {}
    for file, word in queries:
        files_of.setdefault(word, set()).add(file)
    return {
        file: ("test", "valid")[i % 2]
        for files in files_of.values()
        for i, file in enumerate(sorted(files, key=_hash))
    }


def _by_speaker(clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    """Clips by speaker; a clip without one stands alone."""
    found: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda c: c.path):
        found.setdefault(f"clip {clip.path}" if clip.speaker is None else clip.speaker, []).append(
            clip
        )
    return found


def _in_order(names: Iterable[str]) -> list[str]:
    return sorted(names, key=_hash)


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
