"""Detects audio files whose mono sound is silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earbit.audio.decode import channel_peak
from earbit.audio.place import WHOLE, Place
from earbit.audio.source import is_pipe

DIGITAL_SILENCE_PEAK = 2.0**-15
"""One step of 16 bits: the peak of dithered zeros."""
CANCELLED = 1e-3
"""60 dB: a mean of channels with a peak below this fraction of theirs is silence."""


def silence_in(path: Path, waveform: np.ndarray, place: Place = WHOLE) -> str | None:
    """The reason why decoded audio is silence, for a warning; None for other audio.

    path, place: file and part of `waveform`, float32 (n_samples,).  The part is read again if the
    waveform is nearly silent, because channels that cancel are found only in the file.
    """
    peak = float(np.abs(waveform).max(initial=0.0))
    if peak >= CANCELLED:
        return None
    of_channels = peak if is_pipe(path) else channel_peak(path, place)
    if peak < CANCELLED * of_channels:
        return (
            f"silence: its channels cancel each other in their mean, to a peak of {peak:.2g} from "
            f"{of_channels:.2g}; one of them may be inverted, give a single channel"
        )
    if peak == 0:
        return "silence: all samples are 0"
    return f"silence: a peak of {peak:.2g}" if peak <= DIGITAL_SILENCE_PEAK else None
