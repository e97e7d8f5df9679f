"""Kills a study with SIGKILL at random moments, and compares its results with an uninterrupted one.

    python benchmarks/kill_study.py [--kills 3] [--seed 0] [--json FILE or -]

A study of one encoder on the synthetic corpus, with few updates.  The first run takes T seconds
and is not interrupted.  Another one is killed several times, T / (kills + 1) seconds after its
start, more or less.  Its processes end with it.  Every kill must leave more finished steps or a
later checkpoint than the one before.  Scores, learning curves, programs, propagation and cost must
then be equal.  Times are measured again and are not compared.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from report import goal, machine, show
from torchrun import kill_all, start, to_the_end

OPTIONS = (
    *("--encoders", "sparseformer-sw-tiny", "--tasks", "ks", "er", "--pretrain-steps", "60"),
    *("--quantize-steps", "30", "30", "--head-steps", "60", "--jobs", "2"),
    *("--set", "train.checkpoint_every_steps=10", "quantize.train.checkpoint_every_steps=10"),
)
COMPARED = ("scores", "training", "units", "export", "propagation", "cost", "cost_by_length")


def command(out: Path) -> list[str]:
    return ["study", *OPTIONS, "--out", str(out)]


def progress_of(out: Path) -> tuple[int, int]:
    """Finished steps, and the sum of the steps of all checkpoints."""
    steps = [int(path.name.rpartition("-")[2]) for path in out.rglob("checkpoints/step-*")]
    return len(list(out.rglob("step.json"))), sum(steps)


def killed(out: Path, after_s: float) -> dict[str, Any]:
    """Kills a run; returns what it had done.  Ends this process if it has done nothing new."""
    before = progress_of(out)
    run = start(*command(out))
    time.sleep(after_s)
    is_running = run.poll() is None
    kill_all(run)
    after = progress_of(out)
    if after <= before:
        raise SystemExit(f"a run of {after_s:.0f} s did nothing new: {before}, then {after}")
    return {"after_s": round(after_s, 1), "is_running": is_running, "steps_done": after[0]}


def results_of(out: Path) -> dict[str, Any]:
    """What must be equal."""
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return {name: results[name] for name in COMPARED}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the result there; - is stdout")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    choose = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        start_s = time.monotonic()
        to_the_end(*command(whole))
        whole_s = time.monotonic() - start_s
        part_s = whole_s / (options.kills + 1)
        kills = []
        for _ in range(options.kills):
            kills.append(killed(cut, part_s * choose.uniform(0.6, 1.2)))
            print(f"kill {len(kills)}: {kills[-1]}", flush=True)
        to_the_end(*command(cut))
        first, second = results_of(whole), results_of(cut)
    different = [name for name in COMPARED if first[name] != second[name]]
    if different:
        raise SystemExit(f"other results after {len(kills)} kills: {', '.join(different)}")
    n_running = sum(kill["is_running"] for kill in kills)
    sizes = {name: len(first[name]) for name in COMPARED}
    lines = [
        f"{len(kills)} kills: equal results, rows of each table: {sizes}",
        goal(f"{options.kills} kills while it ran", n_running, n_running == options.kills),
    ]
    result = {"machine": machine(1), "options": OPTIONS, "seed": options.seed, "kills": kills}
    show(result | {"whole_s": round(whole_s, 1), "equal_rows": sizes}, lines, options.json)


if __name__ == "__main__":
    main()
