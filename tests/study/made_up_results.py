"""Made-up results of a study: the tables of results.json with numbers from a seeded generator.

The numbers have the sizes of a `tiny` study. They come from no model.
"""

import argparse
import json
import random
from pathlib import Path
from typing import Any

import made_up_tables as tables


def made_up_results(
    seed: int = 0,
    *,
    encoders: tuple[str, ...] = tuple(tables.ENCODERS),
    plans: tuple[str, ...] = ("fp32", "w1a1"),
    tasks: tuple[str, ...] = tuple(tables.METRICS),
    seeds: tuple[int, ...] = (0,),
) -> dict[str, Any]:
    """All tables of results.json for a study of these encoders, plans, tasks and seeds."""
    draw = random.Random(seed)
    rows = [(encoder, plan) for encoder in encoders for plan in plans]
    runs = [(encoder, plan, s) for encoder, plan in rows for s in seeds]
    return {
        "schema": 1,
        "earbit": "0.1.0",
        "created": "2026-11-29T12:00:00+00:00",
        "settings": {
            "scale": "tiny",
            "corpus": "synthetic",
            "corpus_digest": "4eb5c148cba4a2912e91da326860dfc807a44391375bf1cb53f8d44778e8d607",
            "task_data": dict.fromkeys(tasks, "synthetic"),
            "left_out": {},
            "encoders": list(encoders),
            "plans": list(plans),
            "tasks": list(tasks),
            "seeds": list(seeds),
            "resplit": False,
            "set": ["front_end.norm=batch"],
            "scale_settings": {"n_units": 50, "pretrain_steps": 300, "seconds": 10.0},
        },
        "machine": {
            "cpu": "made-up CPU",
            "isa": "avx2",
            "threads_in_times": 1,
            "jobs": 2,
            "python": "3.11.7",
            "torch": "2.13.0",
            "earbit": "0.1.0",
        },
        "corpus": {"n_utterances": 1600, "hours": 0.4, "n_quarantined": 0},
        "wall_s": 1500.0,
        "wall_s_of_this_run": 900.0,
        "steps": tables.steps_of(runs, draw),
        "units": [tables.units_of(draw)],
        "training": [tables.training_of(draw, *run) for run in runs],
        "cost": [tables.cost_of(*row) for row in rows],
        "cost_by_length": [tables.by_length(encoder) for encoder in encoders],
        "export": [
            {
                "encoder": encoder,
                "plan": plan,
                "seed": s,
                "bytes": round(tables.megabytes(encoder, plan) * 1e6 * 1.04),
                "agreement": {"worst_leaf": "none", "bit_agreement": 1.0, "output_cosine": 1.0},
            }
            for encoder, plan, s in runs
        ],
        "times": [time for row in rows for time in tables.times_of(draw, *row)],
        "ops": [tables.ops_of(draw, *row) for row in rows],
        "propagation": [
            tables.propagation_of(draw, encoder, plan, s)
            for encoder, plan, s in runs
            if plan != "fp32"
        ],
        "scores": [
            *(tables.score_of(draw, *run, task) for run in runs for task in tasks),
            *(
                tables.score_of(draw, e, "random weights", s, t)
                for e in encoders
                for s in seeds
                for t in tasks
            ),
            *(tables.score_of(draw, "fbank", "-", s, task) for s in seeds for task in tasks),
        ],
        "warnings": [],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1)
    parsed = parser.parse_args()
    made = made_up_results(parsed.seed, seeds=tuple(range(parsed.seeds)))
    parsed.out.write_text(json.dumps(made, indent=1))
