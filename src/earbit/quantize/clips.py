"""Clips of a corpus for calibration."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

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


def read_parts(read: ReadClip, clips: Sequence[Clip], seed: int) -> list[np.ndarray]:
    """Audio of clips, or of 15 s of each at a place drawn by the seed: (samples,) each.

    Prints how many clips cannot be decoded, and leaves them out.  Raises DataError if none can be
    decoded.
    """
    found, problems = [], []
    for clip in clips:
        n_samples = min(clip.n_samples, MAX_SAMPLES)
        start = random.Random(f"{seed} {clip.id}").randint(0, clip.n_samples - n_samples)
        try:
            found.append(read(clip, start, n_samples))
        except DataError as error:
            problems.append(str(error))
    if problems and not found:
        raise DataError(f"none of {len(clips)} clips to calibrate on can be used: {problems[-1]}")
    if problems:
        say(f"{len(problems)} of {len(clips)} clips to calibrate on are left out: {problems[0]}")
    return found


def audio_of(corpus: Corpus, ids: set[str], seed: int) -> list[np.ndarray]:
    """Audio of up to 16 of the clips, see `read_parts`; raises DataError if there is none."""
    long_enough = {c.id: c for c in corpus.cuts if c.recording.num_samples >= MIN_SAMPLES}
    chosen = clips_among(ids & long_enough.keys(), seed)
    if not chosen:
        raise DataError(f"all {len(ids)} clips to calibrate on are shorter than 25 ms; give others")
    return read_parts(read_clip, [clip_of(long_enough[name]) for name in chosen], seed)
