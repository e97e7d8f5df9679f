"""Scores of a study and differences between its rows, with their intervals.

python comparisons.py results.json > comparisons.json
"""

import json
import sys
from itertools import combinations
from pathlib import Path

from earbit.study.report.comparisons import gain_in, relative_loss
from earbit.study.report.rows import FLOAT, Study

study = Study(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
plan = study.one_bit_plan


def described(estimate):
    """Value and interval in percent or points; clear: whether the interval excludes 0."""
    ends = [round(100 * end, 2) for end in (estimate.low, estimate.high)]
    return {
        "value": round(100 * estimate.value, 2),
        "interval": ends,
        "clear": estimate.excludes_zero,
    }


found = {}
for task in study.tasks:
    pairs = combinations(study.encoders, 2)
    found[task] = {
        "score_percent": {
            e: {p: described(study.score(e, p, task).estimate) for p in (FLOAT, plan)}
            for e in study.encoders
        },
        "relative_loss_percent": {
            encoder: described(loss)
            for encoder in study.encoders
            if (loss := relative_loss(study, encoder, plan, task)) is not None
        },
        "gain_points": {
            f"{a} over {b} in {p}": described(gain_in(study, (a, p), (b, p), task))
            for a, b in pairs
            for p in (FLOAT, plan)
        },
        "one_bit_over_random_points": {
            e: described(gain_in(study, (e, plan), (e, "random weights"), task))
            for e in study.encoders
        },
        "loss_points": {
            e: described(gain_in(study, (e, FLOAT), (e, plan), task)) for e in study.encoders
        },
    }
json.dump(found, sys.stdout, indent=1)
