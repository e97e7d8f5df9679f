"""Audio files whose sound is silence once it is mono."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earbit.audio.decode import channel_peak
from earbit.audio.source import is_pipe

DIGITAL_SILENCE_PEAK = 2.0**-15
"""The least step of 16 bits: zeros, with or without dither."""
CANCELLED = 1e-3
"""60 dB: the mean of channels is silence below this fraction of their differences."""


def silence_in(path: Path, waveform: np.ndarray) -> str | None:
    """Why decoded audio is silence, for a warning after the name of its file; None where it is not.

    path: of the file that `waveform`, float32 (n_samples,), was read from.  It is read again where
    the waveform is nearly silent, because channels that cancel are found only in the file.
    """
    peak = float(np.abs(waveform).max(initial=0.0))
    if peak >= CANCELLED:
        return None
    of_channels = peak if is_pipe(path) else channel_peak(path)
    if peak < CANCELLED * of_channels:
        return (
            f"silence: its channels cancel each other in their mean, to a peak of {peak:.2g} from "
            f"{of_channels:.2g}; one of them may be inverted, give a single channel"
        )
    if peak == 0:
        return "silence: all samples are 0"
    return f"silence: a peak of {peak:.2g}" if peak <= DIGITAL_SILENCE_PEAK else None
