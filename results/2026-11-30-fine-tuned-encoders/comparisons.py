"""Scores of fine-tuned encoders and their differences, with intervals.

python comparisons.py DIR > comparisons.json

DIR has ENCODER-float.json and ENCODER-w1a1.json, the scores.json of each fine-tuning.
"""

import json
import sys
from itertools import combinations
from pathlib import Path

from earbit.study.correlations import correlations_of
from earbit.study.report.comparisons import compared_losses, gain_in, relative_loss
from earbit.study.report.rows import FLOAT, Study

PLANS = {"float": FLOAT, "w1a1": "w1a1"}

scores = []
for path in sorted(Path(sys.argv[1]).glob("*-*.json")):
    encoder, _, kind = path.stem.rpartition("-")
    row = {"encoder": encoder, "plan": PLANS[kind], "seed": 0, "task": "ks"}
    scores.append((row, json.loads(path.read_text(encoding="utf-8"))))
study = Study(
    {
        "scores": [{**score, **row} for row, score in scores],
        "correlations": list(correlations_of(scores)),
    }
)
encoders = list(dict.fromkeys(row["encoder"] for row, _ in scores))


def _described(estimate):
    """Value and interval in percent or points; clear: whether the interval excludes 0."""
    ends = [round(100 * end, 2) for end in (estimate.low, estimate.high)]
    return {
        "value": round(100 * estimate.value, 2),
        "interval": ends,
        "clear": estimate.excludes_zero,
    }


def _loses(encoder, other):
    """Whether the share that an encoder loses is clearly smaller than that of another."""
    found = compared_losses(study, encoder, other, "w1a1")
    return "not clear" if found.unclear else "clearly less" if found.better else "clearly more"


pairs = list(combinations(encoders, 2))
json.dump(
    {
        "score_percent": {
            e: {p: _described(study.score(e, p, "ks").estimate) for p in PLANS.values()}
            for e in encoders
        },
        "relative_loss_percent": {
            e: _described(relative_loss(study, e, "w1a1", "ks")) for e in encoders
        },
        "loss_points": {
            e: _described(gain_in(study, (e, FLOAT), (e, "w1a1"), "ks")) for e in encoders
        },
        "gain_points": {
            f"{a} over {b} in {plan}": _described(gain_in(study, (a, plan), (b, plan), "ks"))
            for a, b in pairs
            for plan in PLANS.values()
        },
        "relative_losses": {f"{a} and {b}": _loses(a, b) for a, b in pairs},
    },
    sys.stdout,
    indent=1,
)
