"""Kills a pre-training on several ranks with SIGKILL at random moments and resumes it every time.

    python benchmarks/kill_and_resume.py [--kills 20] [--ranks 2] [--steps 60] [--seed 0]

The weights must have the same bits, and the log the same lines (without the speed of the machine),
as those of a run that was never killed.  All ranks and torchrun are killed together.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safetensors.numpy import load_file


def command(out: Path, n_ranks: int, n_steps: int) -> list[str]:
    recipe = [
        "hubert-tiny",
        *("--out", str(out), "--device", "cpu", "--set"),
        *(f"train.optimiser.n_steps={n_steps}", "train.batch_s=4", "train.crop_s=2"),
        *("train.checkpoint_every_steps=7", "train.log_every_steps=1", "n_units=20"),
        *("model.encoder.n_layers=2", "train.machine.workers=0"),
    ]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n_ranks)]
    address = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    return [*torchrun, *address, "-m", "earbit", "pretrain", *recipe]


def log_of(out: Path) -> list[dict[str, object]]:
    path = out / "log.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def last_step(out: Path) -> int:
    try:
        return max((int(str(line["step"])) for line in log_of(out)), default=0)
    except ValueError:  # a line that is being written
        return 0


def start(out: Path, n_ranks: int, n_steps: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(out, n_ranks, n_steps),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def to_the_end(out: Path, n_ranks: int, n_steps: int) -> None:
    run = start(out, n_ranks, n_steps)
    _, errors = run.communicate()
    if run.returncode:
        raise SystemExit(f"the run failed with status {run.returncode}:\n{errors.decode()[-3000:]}")


def killed(out: Path, n_ranks: int, n_steps: int, at_step: int, delay_s: float) -> int:
    """Kills a run `delay_s` after a step is logged; returns the last step in its log."""
    run = start(out, n_ranks, n_steps)
    assert run.stderr is not None
    while run.poll() is None and last_step(out) < at_step:
        time.sleep(0.01)
    time.sleep(delay_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    # torchrun gives every rank a session of its own in some versions.
    for pid in children_of(run.pid):
        os.kill(pid, signal.SIGKILL)
    return last_step(out)


def children_of(pid: int) -> list[int]:
    """Processes of the session of `pid`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if os.getsid(int(entry.name)) == pid:
                    found.append(int(entry.name))
            except (ProcessLookupError, PermissionError):
                continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    choose = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        to_the_end(whole, args.ranks, args.steps)
        # The first kills come while the run is young, so that there is always something left.
        steps = sorted(choose.randrange(args.steps) for _ in range(args.kills))
        for i, step in enumerate(steps):
            reached = killed(cut, args.ranks, args.steps, step, choose.uniform(0, 0.5))
            print(f"kill {i + 1}: after step {reached}", flush=True)
        to_the_end(cut, args.ranks, args.steps)
        weights, others = (load_file(run / "model.safetensors") for run in (whole, cut))
        for name, array in weights.items():
            if array.tobytes() != others[name].tobytes():
                raise SystemExit(f"{name}: other bits than in the run that was not killed")
        logs = [
            [{k: v for k, v in line.items() if k != "machine"} for line in log_of(run)]
            for run in (whole, cut)
        ]
        if logs[0] != logs[1]:
            raise SystemExit("the log has other lines than that of the run that was not killed")
        print(f"{args.kills} kills: the same {len(weights)} tensors and {len(logs[0])} log lines")


if __name__ == "__main__":
    main()
