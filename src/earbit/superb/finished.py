"""Scores of a finished run.  They are written last, so a folder with scores.json is complete."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import earbit
from earbit.progress import say

SCORES_NAME = "scores.json"


def finished_scores(
    folders: Sequence[Path], others: Sequence[Path], is_same: Callable[[Mapping[str, Any]], bool]
) -> list[dict[str, Any]] | None:
    """The scores in folders, announced, if this version of earbit has written all; else None.

    others: further files of the run that must exist.  is_same: whether a score is that of the
    command, as far as config.json does not record it.
    """
    paths = [folder / SCORES_NAME for folder in folders]
    if not all(path.is_file() for path in (*paths, *others)):
        return None
    try:
        scores = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        if not all(s["earbit"] == earbit.__version__ and is_same(s) for s in scores):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # damaged files are written again
    for path in paths:
        say(f"{path}: this run is finished; give another --out to score again")
    return scores
