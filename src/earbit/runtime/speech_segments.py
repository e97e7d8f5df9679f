"""Segments of speech from per-frame scores of speakers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earbit.frames import HOP_SAMPLES

SAMPLE_RATE_HZ = 16_000
Segment = tuple[float, float, str]
"""Start and end in seconds, and the name of the speaker."""


def speech_segments(
    scores: NDArray[np.float32],
    labels: Sequence[str],
    *,
    threshold: float,
    window: int,
    hop_samples: int = HOP_SAMPLES,
) -> list[Segment]:
    """Segments where the median-filtered decision of a speaker is positive, by speaker and time.

    scores: (frames, labels), log odds that a speaker speaks.  threshold: probability from which a
    frame counts as speech.  window: frames of the median filter, odd; frames beyond the ends count
    as silence.
    """
    least = np.float64(math.log(threshold / (1 - threshold)))
    is_speech = scores > least
    n, half = len(scores), window // 2
    # Frames of speech before each frame, so that a window of any size takes no memory.
    sums = np.cumsum(np.pad(is_speech, ((1, 0), (0, 0))), axis=0, dtype=np.int64)
    frames, reach = np.arange(n), min(half, n)
    ends, starts = np.minimum(frames + reach + 1, n), np.maximum(frames - reach, 0)
    is_kept = sums[ends] - sums[starts] > half
    edges = np.diff(np.pad(is_kept, ((1, 1), (0, 0))).astype(np.int8), axis=0)
    frame_s = hop_samples / SAMPLE_RATE_HZ
    segments = []
    for column, label in enumerate(labels):
        starts, ends = (np.flatnonzero(edges[:, column] == sign) for sign in (1, -1))
        pairs = zip(starts.tolist(), ends.tolist(), strict=True)
        segments += [(start * frame_s, end * frame_s, label) for start, end in pairs]
    return segments
