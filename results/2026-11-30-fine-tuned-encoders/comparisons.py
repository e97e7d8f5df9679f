"""Differences between fine-tuned encoders, with intervals over samples of the test speakers.

python comparisons.py DIR > comparisons.json

DIR has ENCODER-float.json and ENCODER-w1a1.json, the scores of each fine-tuning.  All scores are of
the same samples of the same clips, so the interval of a difference is that of the differences.
"""

import json
import sys
from itertools import combinations
from pathlib import Path

import numpy as np

from earbit.heads.cases import samples_in


def _described(value, samples):
    """Value and interval in percent or points; clear: whether the interval excludes 0."""
    low, high = np.percentile(samples, [2.5, 97.5])
    ends = [round(100 * float(end), 2) for end in (low, high)]
    return {"value": round(100 * value, 2), "interval": ends, "clear": bool(low > 0 or high < 0)}


scores = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(Path(sys.argv[1]).glob("*.json"))
    if path.stem.endswith(("-float", "-w1a1"))
}
assert len({(s["n_test"], s["corpus_digest"], s["interval_over"]) for s in scores.values()}) == 1
values = {name: score["value"] for name, score in scores.items()}
samples = {name: samples_in(score["resampled"]) for name, score in scores.items()}
encoders = [name.removesuffix("-float") for name in scores if name.endswith("-float")]


def _loss(of, encoder):
    """Share of the accuracy in float that 1 bit loses."""
    return 1 - of[f"{encoder}-w1a1"] / of[f"{encoder}-float"]


def _points(of, first, second):
    return of[first] - of[second]


losses = {e: _described(_loss(values, e), _loss(samples, e)) for e in encoders}
pairs = list(combinations(encoders, 2))
json.dump(
    {
        "relative_loss_percent": losses,
        "loss_points": {
            e: _described(*(_points(of, f"{e}-float", f"{e}-w1a1") for of in (values, samples)))
            for e in encoders
        },
        "difference_of_relative_losses": {
            f"{a} over {b}": _described(*(_loss(of, a) - _loss(of, b) for of in (values, samples)))
            for a, b in pairs
        },
        "gain_points": {
            f"{a} over {b} in {p}": _described(
                *(_points(of, f"{a}-{p}", f"{b}-{p}") for of in (values, samples))
            )
            for a, b in pairs
            for p in ("float", "w1a1")
        },
    },
    sys.stdout,
    indent=1,
)
