"""The steps of a training: gradient, log, checkpoints, resume, Ctrl-C and SIGTERM.

Every training has the same steps; it supplies a network and a generator of updates.  Of several
ranks, rank 0 writes, and all end after the same step.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from earbit.distributed import rank, total
from earbit.errors import Interrupted, Terminated
from earbit.pretrain.best import VALIDATED, Best
from earbit.pretrain.checkpoint import (
    CHECKPOINTS,
    N_KEPT,
    Position,
    Scaler,
    load_newest,
    save_checkpoint,
    steps_done,
)
from earbit.pretrain.interruption import delayed_interruption
from earbit.pretrain.run_log import opened_log
from earbit.pretrain.sharded import full
from earbit.progress import progress

Updates = Callable[[Position], Generator[tuple[Position, Mapping[str, Any]], None, None]]
"""Position -> endless updates from there, closed after the last one.

Each yields its position and the scalars to log."""
Outcome = Literal["applied", "overflow", "not finite"]


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
    tensorboard: bool = False,
) -> None:
    """Trains `network` in place to the last step, in training mode.

    run: description of the run as JSON values, with all settings that determine the result.
    Resumes from the newest checkpoint below `out_dir` and appends to its log.jsonl.  Ctrl-C ends it
    after the current step with a checkpoint, and Interrupted names the step of that checkpoint;
    SIGTERM likewise, with Terminated.  n_kept: number of newest checkpoints that are kept.  scaler:
    that of a loss in float16.  Updates with `valid_loss` are logged, and the checkpoint of the best
    is kept beside the newest ones.  tensorboard: whether to write the log for TensorBoard too.
    Raises ConfigError if the checkpoint belongs to another run.
    """
    checkpoints = out_dir / CHECKPOINTS
    start = load_newest(checkpoints, network, optimiser, run, scaler) or Position(0, 0, 0)
    best = Best(checkpoints)
    log = opened_log(out_dir, start.step, tensorboard=tensorboard) if rank() == 0 else nullcontext()
    network.train()
    try:
        with (
            log as write,
            progress(title, n_steps, start.step) as advance,
            delayed_interruption() as signal_seen,
            closing(updates(start)) as found,
        ):
            # Zipped with the steps first, so that no update begins after the last.
            for step, (position, parts) in zip(
                range(start.step + 1, n_steps + 1), found, strict=False
            ):
                advance(1, f"loss {parts['loss']:.2f}" if "loss" in parts else "skipped")
                is_last = step == n_steps
                figures = best.figures_of(parts, is_last=is_last)
                is_logged = step % log_every_steps == 0 or is_last or VALIDATED in parts
                if write is not None and is_logged:
                    write(step, parts)
                ended_by = _first_signal(signal_seen())
                if step % checkpoint_every_steps == 0 or is_last or figures or ended_by:
                    save_checkpoint(
                        checkpoints,
                        network,
                        optimiser,
                        position,
                        run,
                        scaler=scaler,
                        n_kept=n_kept,
                        best=figures,
                    )
                    # A large checkpoint takes seconds, and no step may follow the last one.
                    ended_by = ended_by or _first_signal(signal_seen())
                if figures:
                    best.keep(step, figures)
                if ended_by:
                    raise Terminated if ended_by == signal.SIGTERM else KeyboardInterrupt
    except KeyboardInterrupt as end:
        after = f"{title} after step {steps_done(checkpoints)} of {n_steps}"
        raise (Terminated if isinstance(end, Terminated) else Interrupted)(after) from None


def _first_signal(seen: int) -> int:
    """The signal that this rank, or another one if this has none, has received; 0 for none."""
    interrupted, terminated = total([seen == signal.SIGINT, seen == signal.SIGTERM])
    if interrupted:
        return signal.SIGINT
    return signal.SIGTERM if terminated else 0


def apply_gradient(
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    scaler: Scaler,
    *,
    max_gradient_norm: float,
    is_finite: bool = True,
) -> tuple[float, Outcome]:
    """One update by the gradients of the parameters; returns their norm before clipping.

    scaler: that of the loss.  is_finite: whether the loss is.  Outcomes: `applied`; `overflow`, the
    usual way in which the scale of a loss in float16 is found; and `not finite`.
    """
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    if gradients:
        scaler.unscale_(optimiser)
    norm = get_total_norm(gradients)
    size = float(full(norm))
    if is_finite and math.isfinite(size):
        # A non-finite norm would make all gradients non-finite here.
        clip_grads_with_norm_(network.parameters(), max_gradient_norm, norm)
        scaler.step(optimiser)
        scaler.update()
        return size, "applied"
    if is_finite and scaler.get_scale() > 1.0:
        scaler.update()
        return size, "overflow"
    if scaler.is_enabled():
        scaler.update(scaler.get_scale())  # the scale is not the cause
    return size, "not finite"
