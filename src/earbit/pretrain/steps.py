"""The steps of a training: gradient, log, checkpoints, resume, Ctrl-C and SIGTERM.

Every training has the same steps; it supplies a network and a generator of updates.  Of several
ranks, rank 0 writes, and all end after the same step.
"""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from earbit.distributed import rank, total
from earbit.errors import DataError, Interrupted, Terminated
from earbit.files import make_folder, write_text
from earbit.pretrain.blame import non_finite_gradient
from earbit.pretrain.checkpoint import (
    CHECKPOINTS,
    N_KEPT,
    Position,
    Scaler,
    load_newest,
    save_checkpoint,
    steps_done,
)
from earbit.pretrain.faults import lines_until
from earbit.pretrain.interruption import delayed_interruption
from earbit.pretrain.sharded import full
from earbit.progress import progress

Updates = Callable[[Position], Iterator[tuple[Position, Mapping[str, float]]]]
"""Position -> endless updates from there; each yields its position and the scalars to log."""


def run_steps(
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    updates: Updates,
    out_dir: Path,
    *,
    n_steps: int,
    checkpoint_every_steps: int,
    log_every_steps: int,
    run: dict[str, Any],
    title: str,
    n_kept: int = N_KEPT,
    scaler: Scaler | None = None,
) -> None:
    """Trains `network` in place to the last step, in training mode.

    run: description of the run as JSON values, with all settings that determine the result.
    Resumes from the newest checkpoint below `out_dir` and appends to its log.jsonl.  Ctrl-C ends it
    after the current step with a checkpoint, and Interrupted names the step of that checkpoint;
    SIGTERM likewise, with Terminated.  n_kept: number of newest checkpoints that are kept.  scaler:
    that of a loss in float16.  Raises ConfigError if the checkpoint belongs to another run.
    """
    checkpoints = out_dir / CHECKPOINTS
    start = load_newest(checkpoints, network, optimiser, run, scaler) or Position(0, 0, 0)
    log = _open_log(out_dir / "log.jsonl", start.step) if rank() == 0 else nullcontext()
    network.train()
    ended_by = 0
    try:
        with (
            log as file,
            progress(title, n_steps, start.step) as advance,
            delayed_interruption() as signal_seen,
        ):
            # Zipped with the steps first, so that no update begins after the last.
            for step, (position, parts) in zip(
                range(start.step + 1, n_steps + 1), updates(start), strict=False
            ):
                advance(1, f"loss {parts['loss']:.2f}" if "loss" in parts else "skipped")
                is_last = step == n_steps
                if file is not None and (step % log_every_steps == 0 or is_last):
                    _write_line(file, {"step": step, **parts})
                ended_by = _first_signal(signal_seen())
                if step % checkpoint_every_steps == 0 or is_last or ended_by:
                    save_checkpoint(
                        checkpoints,
                        network,
                        optimiser,
                        position,
                        run,
                        scaler=scaler,
                        n_kept=n_kept,
                    )
                if ended_by:
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        after = f"{title} after step {steps_done(checkpoints)} of {n_steps}"
        raise (Terminated if ended_by == signal.SIGTERM else Interrupted)(after) from None


def _first_signal(seen: int) -> int:
    """The signal that this rank, or another one if this has none, has received; 0 for none."""
    interrupted, terminated = total([seen == signal.SIGINT, seen == signal.SIGTERM])
    if interrupted:
        return signal.SIGINT
    return signal.SIGTERM if terminated else 0


def gradient_norm(network: torch.nn.Module) -> tuple[Tensor, float]:
    """Norm of all gradients for clipping, and as a number."""
    norm = get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
    return norm, float(full(norm))


def apply_gradient(
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    *,
    max_gradient_norm: float,
    where: str,
    remedy: str,
) -> float:
    """One update by the gradients of the parameters; returns their norm before clipping.

    where, remedy: start and end of the message.  Raises DataError if the gradient is not finite.
    """
    norm, size = gradient_norm(network)
    if not math.isfinite(size):
        raise DataError(
            f"{where}: the gradient is {size}, first not finite is that of "
            f"{non_finite_gradient(network)}, {remedy}"
        )
    # A non-finite norm, refused above, would make all gradients non-finite here.
    clip_grads_with_norm_(network.parameters(), max_gradient_norm, norm)
    optimiser.step()
    return size


def _open_log(path: Path, step: int) -> IO[str]:
    """Opens the log for appending, and removes lines of steps after the checkpoint."""
    kept = lines_until(path, step)
    make_folder(path.parent)
    write_text(path, "".join(f"{line}\n" for line in kept))
    return path.open("a", encoding="utf-8")


def _write_line(log: IO[str], values: Mapping[str, Any]) -> None:
    try:
        log.write(json.dumps(values) + "\n")
        log.flush()
    except OSError as error:
        raise DataError(
            f"{log.name}: cannot be written ({error.strerror}); free some space and start the same "
            "command again"
        ) from error
