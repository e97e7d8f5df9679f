"""Clips of a corpus for calibration."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np

from earbit.audio.clips import Clip, ReadClip, clip_of, read_clip
from earbit.audio.corpus import Corpus
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import DataError
from earbit.frames import MIN_SAMPLES
from earbit.progress import say

N_CALIBRATION_CLIPS = 16
MAX_SAMPLES = 15 * SAMPLE_RATE_HZ
"""Length of a clip for calibration: attention to a whole long recording takes any memory."""


def clips_among(ids: Iterable[str], seed: int) -> list[str]:
    """Up to 16 clips for calibration, drawn since adjacent clips often have the same speaker."""
    ordered = sorted(ids)
    return random.Random(seed).sample(ordered, min(N_CALIBRATION_CLIPS, len(ordered)))


def read_part(read: ReadClip, clip: Clip, seed: int) -> np.ndarray:
    """Audio of a clip, or of 15 s of it at a place drawn by the seed."""
    n_samples = min(clip.n_samples, MAX_SAMPLES)
    start = random.Random(f"{seed} {clip.id}").randint(0, clip.n_samples - n_samples)
    return read(clip, start, n_samples)


def audio_of(corpus: Corpus, ids: set[str], seed: int) -> list[np.ndarray]:
    """Audio of up to 16 of the clips, up to 15 s each; prints which cannot be decoded.

    Raises DataError if none can.
    """
    long_enough = {c.id: c for c in corpus.cuts if c.recording.num_samples >= MIN_SAMPLES}
    clips, problems = [], []
    chosen = clips_among(ids & long_enough.keys(), seed)
    for name in chosen:
        try:
            clips.append(read_part(read_clip, clip_of(long_enough[name]), seed))
        except DataError as error:
            problems.append(str(error))
    if not clips:
        problem = problems[-1] if problems else "all are shorter than 25 ms"
        raise DataError(f"no clip to calibrate on among {len(ids)}: {problem}")
    if problems:
        say(f"{len(problems)} of {len(chosen)} clips to calibrate on are left out: {problems[0]}")
    return clips
