"""`earbit` as a process of its own or on several ranks, and what its run has logged."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from earbit.pretrain.run_log import LOG_NAME

POLL_S = 0.002


def start(*args: str, n_ranks: int = 1) -> subprocess.Popen[str]:
    """Starts `earbit ARGS`, with torchrun on more than one rank, each on one thread."""
    ranks = ["torch.distributed.run", "--nproc-per-node", str(n_ranks)]
    address = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    launcher = [*ranks, *address, "-m"] if n_ranks > 1 else []
    return subprocess.Popen(
        [sys.executable, "-m", *launcher, "earbit", *args],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def to_the_end(*args: str, n_ranks: int = 1) -> None:
    """Runs `earbit ARGS`; ends this process with its errors if it fails."""
    run = start(*args, n_ranks=n_ranks)
    _, errors = run.communicate()
    if run.returncode:
        raise SystemExit(f"earbit {' '.join(args)} ended with {run.returncode}:\n{errors[-3000:]}")


def kill_all(run: subprocess.Popen[str]) -> None:
    """Kills a process and all that it has started, at once."""
    for pid in (run.pid, *descendants(run.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    run.communicate()


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that they have started.  Linux alone."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    children = [int(word) for word in text.split()]
    return children + [one for child in children for one in descendants(child)]


def log_of(out: Path) -> list[dict[str, Any]]:
    """Lines of a log without the speed of the machine."""
    return [
        {name: value for name, value in json.loads(line).items() if name != "machine"}
        for line in (out / LOG_NAME).read_text(encoding="utf-8").splitlines()
    ]


def last_step(out: Path) -> int:
    """The last step in a log, 0 without one."""
    try:
        return int(log_of(out)[-1]["step"])
    except (OSError, IndexError, ValueError):  # none yet, or a line that is being written
        return 0


def wait_for_step(run: subprocess.Popen[str], out: Path, step: int, before: int | None) -> bool:
    """Waits until a run has logged `step`; returns False if it ends earlier.

    before: the `log_number` before it was started.  Until a resumed run opens the log, it has
    lines of steps that will be computed again.
    """
    while run.poll() is None:
        if log_number(out) != before and last_step(out) >= step:
            return True
        time.sleep(POLL_S)
    return False


def log_number(out: Path) -> int | None:
    """Number of the file of a log, which a run that resumes replaces; None without one."""
    with contextlib.suppress(FileNotFoundError):
        return (out / LOG_NAME).stat().st_ino
    return None
