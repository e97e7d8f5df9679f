"""Kind `vector`: one vector per clip, compared by its cosine with that of another clip.

Training tells the speakers of the training clips apart; speakers of other parts are others.
Source: Wang et al. 2018, Additive margin softmax (loss).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.audio.splits import NAMES, Splits, speaker_splits
from earbit.errors import DataError
from earbit.heads.cases import Cases
from earbit.heads.example import Example, Trial
from earbit.heads.head import Head
from earbit.heads.kinds.kind import Kind, Slots
from earbit.heads.xvector import XVector

SCALE, MARGIN = 30.0, 0.4
MAX_TRIALS = 2_000
"""Maximum number of drawn trials, half of them matches."""


def speaker_name(value: Any) -> str | None:
    """A speaker; None for other values."""
    return value if isinstance(value, str) and value else None


def vector_splits(
    examples: Sequence[Example], split_of: Mapping[str, str | None]
) -> Splits[Example]:
    """Splits that hold out speakers, at least two in each drawn part, with drawn trials.

    Splits of the corpus whose training speakers are also in another part are not used.  Raises
    DataError for too few speakers, and if trials are impossible in a part.
    """
    splits = speaker_splits(examples, split_of)
    of_train, of_valid, of_test = ({e.target for e in getattr(splits, n)} for n in NAMES)
    if of_train & (of_valid | of_test):
        # Test clips stay, if their speakers are in no other part: those of given trials.
        is_kept = not of_test & (of_train | of_valid)
        split_of = {i: s for i, s in split_of.items() if is_kept and s == "test"}
        splits = speaker_splits(examples, split_of)
        drawn_by = f"{splits.summary['drawn_by']}, since the corpus' splits share speakers"
        splits = replace(splits, summary={**splits.summary, "drawn_by": drawn_by})
    n_needed = 2 * (1 + len(set(NAMES[1:]) - set(split_of.values())))
    n_speakers = _n_speakers([e for e in examples if split_of.get(e.id) in (None, "train")])
    if n_speakers < n_needed:
        raise DataError(
            f"{n_speakers} speaker{' has' if n_speakers == 1 else 's have'} training clips or no "
            f"split; at least {n_needed} are needed, two each for training and for every part that "
            "is missing in the corpus"
        )
    parts = {name: list(getattr(splits, name)) for name in NAMES}
    for name in set(NAMES[1:]) - set(split_of.values()):
        while _n_speakers(parts[name]) < 2 < _n_speakers(parts["train"]):
            clips_of = Counter(example.target for example in parts["train"])
            moved = min(clips_of, key=lambda speaker: (clips_of[speaker], speaker))
            parts[name] += [e for e in parts["train"] if e.target == moved]
            parts["train"] = [e for e in parts["train"] if e.target != moved]
    trials = {}
    for name in NAMES[1:]:
        try:
            trials[name] = tuple(drawn_trials(parts[name]))
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
    train, valid, test = (tuple(parts[name]) for name in NAMES)
    return replace(splits, train=train, valid=valid, test=test, trials=trials)


def _n_speakers(examples: Sequence[Example]) -> int:
    return len({example.target for example in examples})


def speaker_slots(targets: Sequence[str]) -> Slots:
    """Sorted speakers; raises DataError for fewer than two."""
    speakers = tuple(sorted(set(targets)))
    if len(speakers) < 2:
        raise DataError(
            f"{len(speakers)} speakers among {len(targets)} training clips; at least two are needed"
        )
    return (speakers,)


def speaker_index(target: str, slots: Slots, n_frames: int, hop_samples: int) -> Tensor:
    """Index of the speaker, int64 (1,); ignores the length of the clip."""
    return torch.tensor([slots[0].index(target)])


def margin_loss(
    head: Head, embeddings_BD: Tensor, lengths: Tensor, targets: Sequence[Tensor], slots: Slots
) -> Tensor:
    """Additive margin softmax over the training speakers, averaged over the batch."""
    assert isinstance(head, XVector)
    indices_B = torch.cat(list(targets))
    margins_BC = MARGIN * F.one_hot(indices_B, len(slots[0]))
    return F.cross_entropy(SCALE * (head.cosines(embeddings_BD) - margins_BC), indices_B)


def unit_vector(embedding_D: Tensor, slots: Slots, hop_samples: int, setting: None) -> Tensor:
    """The direction of an embedding: (D,)."""
    return F.normalize(embedding_D, dim=0)


def trial_cases(
    examples: Sequence[Example], predictions: Mapping[str, Tensor], trials: Sequence[Trial]
) -> Cases:
    """Cosines of the trials; trials whose first clip has the same speaker are a group."""
    speaker_of = {example.id: example.target for example in examples}
    return Cases(
        [float(predictions[t.first] @ predictions[t.second]) for t in trials],
        [t.is_match for t in trials],
        [f"speaker {speaker_of[t.first]}" for t in trials],
    )


def drawn_trials(examples: Sequence[Example]) -> list[Trial]:
    """Pairs of clips in the order of a hash: as many of one speaker as of two, up to MAX_TRIALS.

    Raises DataError unless there are two speakers and one of them has two clips.
    """
    pairs: dict[bool, list[Trial]] = {True: [], False: []}
    for a, b in _pairs(examples):
        is_match = a.target == b.target
        pairs[is_match].append(Trial(first=a.id, second=b.id, is_match=is_match))
    n_each = min(MAX_TRIALS // 2, *map(len, pairs.values()))
    if not n_each:
        raise DataError(
            f"{len(examples)} clips of {_n_speakers(examples)} speakers; trials need two "
            "clips of one speaker and a clip of another"
        )
    return [trial for group in pairs.values() for trial in sorted(group, key=_order)[:n_each]]


def _pairs(examples: Sequence[Example]) -> Iterator[tuple[Example, Example]]:
    """Pairs of clips; of many clips, each with its nearest in the order of a hash."""
    if len(examples) <= 500:
        yield from combinations(examples, 2)
        return
    mixed = sorted(examples, key=lambda e: hashlib.sha256(e.id.encode()).digest())
    of_speaker: dict[str, list[Example]] = {}
    for example in mixed:
        of_speaker.setdefault(example.target, []).append(example)
    for _, own in sorted(of_speaker.items()):
        yield from zip(own, own[1:], strict=False)
    yield from ((a, b) for a, b in zip(mixed, mixed[1:], strict=False) if a.target != b.target)


def _order(trial: Trial) -> bytes:
    return hashlib.sha256(f"{trial.first}\n{trial.second}".encode()).digest()


VECTOR = Kind(
    target_of=speaker_name,
    splits=vector_splits,
    slots_of=speaker_slots,
    encode=speaker_index,
    loss=margin_loss,
    decode=unit_vector,
    cases=trial_cases,
    min_frames=lambda target: 1,
)
