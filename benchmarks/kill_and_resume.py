"""Kills a pre-training on several ranks with SIGKILL at random steps and resumes it every time.

    python benchmarks/kill_and_resume.py [--kills 20] [--ranks 2] [--steps 60] [--seed 0]
        [--json FILE or -]

The steps of the kills are spread over the run, one at random of every 3 of 60, and the moment
within the step is random too.  A kill counts only while the run is training.  The weights must have
the same bits, and the log the same lines (without the speed of the machine), as those of a run that
was never killed.  All ranks and torchrun are killed together.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from earbit.pretrain.checkpoint import CHECKPOINTS, steps_done
from report import arguments, goal, machine, show
from torchrun import kill_all, last_step, log_number, log_of, start, to_the_end, wait_for_step


def command(out: Path, n_steps: int) -> list[str]:
    return [
        *("pretrain", "hubert-tiny", "--out", str(out), "--device", "cpu", "--set"),
        *(f"train.optimiser.n_steps={n_steps}", "train.batch_s=4", "train.crop_s=2"),
        *("train.checkpoint_every_steps=7", "train.log_every_steps=1", "n_units=20"),
        *("model.encoder.n_layers=2", "train.machine.workers=0"),
    ]


def steps_of_kills(n_kills: int, n_steps: int, choose: random.Random) -> list[int]:
    """A random step of every part of the run, before its last step."""
    ends = [1 + i * (n_steps - 2) // n_kills for i in range(n_kills + 1)]
    return [choose.randrange(low, high) for low, high in zip(ends, ends[1:], strict=False)]


def killed(out: Path, n_ranks: int, n_steps: int, at_step: int, part: float) -> dict[str, Any]:
    """Kills a run in a part of the step after `at_step`; returns where it was.

    part: 0 is the moment in which `at_step` is logged, 1 that of the next step.
    """
    before, done = log_number(out), steps_done(out / CHECKPOINTS)
    run = start(*command(out, n_steps), n_ranks=n_ranks)
    # The first steps of a process are slower than the others.
    first = max(at_step - 1, done + 1)
    if not wait_for_step(run, out, first, before):
        raise SystemExit(f"the run has ended before step {first}")
    start_s = time.perf_counter()
    wait_for_step(run, out, max(at_step, first + 1), before)
    time.sleep(part * (time.perf_counter() - start_s))
    is_training = run.poll() is None
    kill_all(run)
    return {
        "asked_for": at_step,
        "resumed_after": done,
        "last_logged": last_step(out),
        "checkpoint": steps_done(out / CHECKPOINTS),
        "unfinished_checkpoint": any((out / CHECKPOINTS).glob(".*.tmp")),
        "is_training": is_training and last_step(out) < n_steps,
    }


def compare(whole: Path, cut: Path) -> int:
    """Compares two runs; returns the number of tensors.  Ends this process if they differ."""
    weights, others = (load_file(run / "model.safetensors") for run in (whole, cut))
    for name, array in weights.items():
        if array.tobytes() != others[name].tobytes():
            raise SystemExit(f"{name}: other bits than in the run that was not killed")
    if log_of(whole) != log_of(cut):
        raise SystemExit("the log has other lines than that of the run that was not killed")
    return len(weights)


def main() -> None:
    parser = arguments(__doc__, runs=1)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    here = machine(1) | {"cores": os.cpu_count()}
    choose = random.Random(options.seed)
    kills = []
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        to_the_end(*command(whole, options.steps), n_ranks=options.ranks)
        for step in steps_of_kills(options.kills, options.steps, choose):
            kills.append(killed(cut, options.ranks, options.steps, step, choose.random()))
            print(f"kill {len(kills)}: {kills[-1]}", flush=True)
        to_the_end(*command(cut, options.steps), n_ranks=options.ranks)
        n_tensors, n_lines = compare(whole, cut), len(log_of(whole))
    n_inside = sum(kill["is_training"] for kill in kills)
    lines = [
        f"{len(kills)} kills: the same bits in {n_tensors} tensors, and the same {n_lines} lines",
        goal(f"{options.kills} kills during training", n_inside, n_inside == options.kills),
    ]
    result = {
        "machine": here,
        "n_ranks": options.ranks,
        "n_steps": options.steps,
        "seed": options.seed,
        "kills": kills,
        "equal_tensors": n_tensors,
        "equal_log_lines": n_lines,
    }
    show(result, lines, options.json)


if __name__ == "__main__":
    main()
