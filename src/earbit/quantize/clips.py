"""Clips of a corpus for calibration."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np

from earbit.audio.corpus import Corpus, load_waveform
from earbit.errors import DataError
from earbit.frames import MIN_SAMPLES
from earbit.progress import say

N_CALIBRATION_CLIPS = 16


def clips_among(ids: Iterable[str], seed: int) -> list[str]:
    """Up to 16 clips for calibration, drawn since adjacent clips often have the same speaker."""
    ordered = sorted(ids)
    return random.Random(seed).sample(ordered, min(N_CALIBRATION_CLIPS, len(ordered)))


def audio_of(corpus: Corpus, ids: set[str], seed: int) -> list[np.ndarray]:
    """Audio of up to 16 of the clips; prints which of them cannot be decoded.

    Raises DataError if none can.
    """
    long_enough = {c.id: c for c in corpus.cuts if c.recording.num_samples >= MIN_SAMPLES}
    clips, problems = [], []
    chosen = clips_among(ids & long_enough.keys(), seed)
    for name in chosen:
        try:
            clips.append(load_waveform(long_enough[name]))
        except DataError as error:
            problems.append(str(error))
    if not clips:
        problem = problems[-1] if problems else "all are shorter than 25 ms"
        raise DataError(f"no clip to calibrate on among {len(ids)}: {problem}")
    if problems:
        say(f"{len(problems)} of {len(chosen)} clips to calibrate on are left out: {problems[0]}")
    return clips
