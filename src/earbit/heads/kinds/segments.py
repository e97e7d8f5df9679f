"""Kind `segments`: who speaks when, a probability per frame and speaker.

Outputs have no names: the loss and the metric match them with speakers in the best order.
Source: Fujita et al. 2019, End-to-end neural speaker diarization with permutation-free objectives.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.splits import HELD_OUT_SHARES, NAMES, Splits, speaker_splits
from earbit.errors import DataError
from earbit.heads.example import Example
from earbit.heads.head import Head
from earbit.heads.kinds.kind import Kind, Slots, clip_cases
from earbit.runtime.speech_segments import Segment, speech_segments

MAX_SPEAKERS = 4
"""Maximum number of speakers in a clip: 24 orders."""
SETTINGS = tuple(
    (window, threshold) for window in (11, 1) for threshold in (0.5, 0.3, 0.4, 0.6, 0.7)
)
"""Frames of the median filter and thresholds that s3prl scores."""


def segments_of(value: Any) -> tuple[Segment, ...] | None:
    """Parses a list of [start_s, end_s, speaker]; None for other values."""
    if not isinstance(value, (list, tuple)) or not value:
        return None
    try:
        segments = tuple((float(start), float(end), str(name)) for start, end, name in value)
    except (TypeError, ValueError, OverflowError):
        return None
    return segments if all(0 <= start < end < math.inf for start, end, _ in segments) else None


def speaker_outputs(targets: Sequence[Sequence[Segment]]) -> Slots:
    """One output for each of the most speakers in a clip.

    Raises DataError for more than MAX_SPEAKERS.
    """
    n_speakers = max((len(_names(target)) for target in targets), default=0)
    if n_speakers > MAX_SPEAKERS:
        raise DataError(f"a clip with {n_speakers} speakers; up to {MAX_SPEAKERS} are allowed")
    return (tuple(f"speaker {i + 1}" for i in range(max(2, n_speakers))),)


def segment_splits(
    examples: Sequence[Example], split_of: Mapping[str, str | None]
) -> Splits[Example]:
    """Splits of `speaker_splits`; clips that share a speaker are drawn together.

    They are drawn one by one where nearly all of them do, as with names that mean a speaker within
    a clip.  Raises DataError as `speaker_outputs` does.
    """
    speaker_outputs([example.target for example in examples])
    groups = _sharing_speakers(examples)
    n_largest = max(Counter(groups.values()).values(), default=0)
    if n_largest > (1 - sum(HELD_OUT_SHARES.values())) * len(examples):
        groups = {example.id: None for example in examples}
    grouped = [replace(example, speaker=groups[example.id]) for example in examples]
    splits = speaker_splits(grouped, split_of)
    of_id = {example.id: example for example in examples}
    train, valid, test = (tuple(of_id[e.id] for e in getattr(splits, name)) for name in NAMES)
    return replace(splits, train=train, valid=valid, test=test)


def _sharing_speakers(examples: Sequence[Example]) -> dict[str, str | None]:
    """A name by clip; clips that share a speaker, directly or by way of others, have the same."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for example in examples:
        first, *others = _names(example.target)
        for other in others:
            parent[root(other)] = root(first)
    return {example.id: root(_names(example.target)[0]) for example in examples}


def activity(target: Sequence[Segment], slots: Slots, n_frames: int, hop_samples: int) -> Tensor:
    """1 where a speaker speaks, float32 (n_frames, speakers).

    A segment reaches from the frame nearest to its start to the one nearest to its end.
    """
    active_TS = torch.zeros(n_frames, len(slots[0]))
    column = {name: i for i, name in enumerate(_names(target))}
    for start_s, end_s, name in target:
        first, last = (round(s * SAMPLE_RATE_HZ / hop_samples) for s in (start_s, end_s))
        active_TS[first:last, column[name]] = 1
    return active_TS


def permutation_free_loss(
    head: Head, outputs_BTS: Tensor, lengths: Tensor, targets: Sequence[Tensor], slots: Slots
) -> Tensor:
    """Binary cross-entropy per frame and speaker in the best order of the speakers of each clip."""
    total = outputs_BTS.new_zeros(())
    orders = list(permutations(range(len(slots[0]))))
    for outputs_TS, n_frames, active_TS in zip(outputs_BTS, lengths.tolist(), targets, strict=True):
        real_TS = outputs_TS[:n_frames]
        losses = [
            F.binary_cross_entropy_with_logits(real_TS, active_TS[:, list(order)], reduction="sum")
            for order in orders
        ]
        total = total + torch.stack(losses).min()
    return total / (lengths.sum() * len(slots[0]))


def decoded_segments(
    outputs_TS: Tensor, slots: Slots, hop_samples: int, setting: tuple[int, float]
) -> tuple[Segment, ...]:
    """Segments of all speakers.  setting: frames of the median filter, and the threshold."""
    window, threshold = setting
    scores_TS = outputs_TS.numpy()
    found = speech_segments(
        scores_TS, slots[0], threshold=threshold, window=window, hop_samples=hop_samples
    )
    return tuple(found)


def _names(target: Sequence[Segment]) -> list[str]:
    return sorted({name for _, _, name in target})


SEGMENTS = Kind(
    target_of=segments_of,
    splits=segment_splits,
    slots_of=speaker_outputs,
    encode=activity,
    loss=permutation_free_loss,
    decode=decoded_segments,
    settings=SETTINGS,
    cases=clip_cases,
    min_frames=lambda target: 1,
)
