"""Kills a study with SIGKILL at random moments, and compares its results with an uninterrupted one.

    python benchmarks/kill_study.py [--kills 3] [--seed 0] [--json FILE or -]

A study of one encoder on the synthetic corpus, with few updates.  The first run takes T seconds;
the moments are spread over T, one at random in each part.  The study and all its processes are
killed together, and the same command is given again.  Scores, learning curves, programs,
propagation and cost must then be equal.  Times are measured again and are not compared.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from report import arguments, goal, machine, show

OPTIONS = (
    *("--encoders", "sparseformer-sw-tiny", "--tasks", "ks", "er", "--pretrain-steps", "60"),
    *("--quantize-steps", "30", "30", "--head-steps", "60", "--jobs", "2"),
    *("--set", "train.checkpoint_every_steps=10", "quantize.train.checkpoint_every_steps=10"),
)
COMPARED = ("scores", "training", "units", "export", "propagation", "cost", "cost_by_length")


def start(out: Path) -> subprocess.Popen[bytes]:
    """Begins or resumes the study, in a process group of its own."""
    command = [sys.executable, "-m", "earbit", "study", *OPTIONS, "--out", str(out)]
    return subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def to_the_end(out: Path) -> float:
    """Seconds of a run that is not interrupted."""
    start_s = time.monotonic()
    status = start(out).wait()
    if status:
        raise SystemExit(f"the study ended with status {status}")
    return time.monotonic() - start_s


def killed(out: Path, after_s: float) -> dict[str, Any]:
    """Kills a run; returns what it had done."""
    run = start(out)
    time.sleep(after_s)
    is_running = run.poll() is None
    if is_running:
        # Processes of steps have groups of their own, and end with the study.
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    time.sleep(1.0)
    done = len(list(out.rglob("step.json")))
    return {"after_s": round(after_s, 1), "is_running": is_running, "steps_done": done}


def results_of(out: Path) -> dict[str, Any]:
    """What must be equal."""
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return {name: results[name] for name in COMPARED}


def main() -> None:
    parser = arguments(__doc__, runs=1)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    choose = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        whole_s = to_the_end(whole)
        part_s = whole_s / (options.kills + 1)
        kills = []
        for _ in range(options.kills):
            kills.append(killed(cut, part_s * choose.uniform(0.6, 1.2)))
            print(f"kill {len(kills)}: {kills[-1]}", flush=True)
        to_the_end(cut)
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
