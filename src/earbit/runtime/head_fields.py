"""Results of a head for one audio file, as fields of the summary of `earbit run`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from earbit.runtime.greedy_text import greedy_text
from earbit.runtime.likeliest import (
    is_rejected,
    likeliest,
    min_log_odds,
    probability_of,
    shown_probability,
)
from earbit.runtime.program_file import Head
from earbit.runtime.speech_segments import speech_segments

THRESHOLD, WINDOW = 0.5, 11
"""Probability of speech, and frames of the median filter, of segments."""
NO_KEYWORD = "(no keyword)"
"""Shown for a rejected label."""


def head_fields(head: Head, scores: np.ndarray, threshold: float | None = None) -> dict[str, Any]:
    """Label and probability, text, or segments [start_s, end_s, speaker]; nothing for a vector.

    A label that is rejected is None, and `rejected` has it.  A head that may reject also gives the
    log odds and the threshold, as a probability and as log odds, which do not round to 1.
    threshold: as of `Session.label`.  With several slots, `labels` has the label of each, and the
    probability is that of all together.
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
    probability = math.prod(one.probability for one in best)
    if len(best) > 1:
        return {"label": ", ".join(labels), "probability": probability, "labels": labels}
    odds = best[0].log_odds
    least = min_log_odds(head, threshold)
    fields: dict[str, Any] = {"label": labels[0], "probability": probability, "log_odds": odds}
    if least is not None:
        fields |= {"threshold": probability_of(least), "threshold_log_odds": least}
    if is_rejected(head, best[0], threshold):
        fields |= {"label": None, "rejected": labels[0]}
    return fields


def head_columns(entries: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Columns of the table of `earbit run` with the fields of the head, each with its title.

    The threshold has one if a label is rejected.
    """
    is_any_rejected = any("rejected" in entry for entry in entries)
    shown: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "label": lambda entry: NO_KEYWORD if entry["label"] is None else str(entry["label"]),
        "probability": _probability,
        "threshold": lambda entry: shown_probability(entry["threshold_log_odds"]),
        "text": lambda entry: str(entry["text"]),
        "segments": lambda entry: f"{len(entry['segments'])} segments",
    }
    return [
        [key, *map(show, entries)]
        for key, show in shown.items()
        if key in entries[0] and (key != "threshold" or is_any_rejected)
    ]


def _probability(entry: Mapping[str, Any]) -> str:
    if "log_odds" in entry:
        return shown_probability(entry["log_odds"])
    return f"{entry['probability']:.4f}"
