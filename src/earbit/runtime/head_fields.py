"""Results of a head for one audio file, as fields of the summary of `earbit run`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from earbit.runtime.greedy_text import greedy_text
from earbit.runtime.likeliest import is_rejected, likeliest
from earbit.runtime.program_file import Head
from earbit.runtime.speech_segments import speech_segments

THRESHOLD, WINDOW = 0.5, 11
"""Probability of speech, and frames of the median filter, of segments."""
NO_KEYWORD = "(no keyword)"
"""Shown for a rejected label."""


def head_fields(head: Head, scores: np.ndarray, threshold: float | None = None) -> dict[str, Any]:
    """Label and probability, text, or segments [start_s, end_s, speaker]; nothing for a vector.

    A label that is rejected is None, and `rejected` has it.  threshold: as of `Session.label`.
    With several slots, `labels` has the label of each, and the probability is that of all together.
    """
    if head.kind == "sequence":
        return {"text": greedy_text(head.labels, scores)}
    if head.kind == "segments":
        found = speech_segments(scores, head.labels, threshold=THRESHOLD, window=WINDOW)
        return {"segments": [[round(a, 3), round(b, 3), name] for a, b, name in found]}
    if head.kind == "vector":
        return {}
    best = likeliest(head, scores)
    labels = [one.label for one in best]
    probability = round(math.prod(one.probability for one in best), 4)
    if len(best) > 1:
        return {"label": ", ".join(labels), "probability": probability, "labels": labels}
    if is_rejected(head, best[0], threshold):
        return {"label": None, "probability": probability, "rejected": labels[0]}
    return {"label": labels[0], "probability": probability}


def head_columns(entries: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Columns of the table of `earbit run` with the fields of the head, each with its title."""
    shown: dict[str, Callable[[Any], str]] = {
        "label": lambda label: NO_KEYWORD if label is None else str(label),
        "probability": "{:.4f}".format,
        "text": str,
        "segments": lambda segments: f"{len(segments)} segments",
    }
    return [
        [key, *(show(entry[key]) for entry in entries)]
        for key, show in shown.items()
        if key in entries[0]
    ]
