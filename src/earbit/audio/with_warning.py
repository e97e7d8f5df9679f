"""Reads audio of the user with warnings about silence and level."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.decode import read_audio, readable_formats
from earbit.audio.silence import silence_in
from earbit.audio.stoppable import stoppable
from earbit.errors import DataError
from earbit.progress import say
from earbit.runtime.waveform import level_problem

MOST_WARNINGS = 10
"""Maximum number of files that are listed; the others are counted."""


def read_with_warning(path: Path) -> tuple[np.ndarray, str | None]:
    """Samples of a file, and a warning about them. Raises DataError if it is unusable."""
    if os.path.isdir(path):
        raise DataError(f"no audio file in this folder; {readable_formats()} is read")
    waveform = stoppable(lambda: read_audio(path))
    problems = [silence_in(path, waveform), level_problem(waveform)]
    return waveform, "; ".join(problem for problem in problems if problem) or None


def say_warnings(summary: Sequence[Mapping[str, Any]]) -> None:
    """Prints the warnings of the first files, and counts the others."""
    lines = [f"{entry['audio']}: {entry['warning']}" for entry in summary if "warning" in entry]
    for line in lines[:MOST_WARNINGS]:
        say(line)
    if len(lines) > MOST_WARNINGS:
        say(f"{len(lines) - MOST_WARNINGS} more files with warnings; --json has all")
