"""The steps of a training: gradient, log, checkpoints, resume and Ctrl-C.

Every training has the same steps; it supplies a network and a generator of updates.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from earbit.errors import DataError, Interrupted
from earbit.files import make_folder, write_text
from earbit.pretrain.blame import non_finite_gradient
from earbit.pretrain.checkpoint import (
    CHECKPOINTS,
    Position,
    load_newest,
    save_checkpoint,
    steps_done,
)
from earbit.pretrain.interruption import delayed_interruption
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
) -> None:
    """Trains `network` in place to the last step, in training mode.

    run: description of the run as JSON values, with all settings that determine the result.
    Resumes from the newest checkpoint below `out_dir` and appends to its log.jsonl.  Ctrl-C ends it
    after the current step with a checkpoint, and Interrupted names the step of that checkpoint.
    Raises ConfigError if the checkpoint belongs to another run.
    """
    checkpoints = out_dir / CHECKPOINTS
    start = load_newest(checkpoints, network, optimiser, run) or Position(0, 0, 0)
    log = _open_log(out_dir / "log.jsonl", start.step)
    network.train()
    try:
        with (
            log,
            progress(title, n_steps, start.step) as advance,
            delayed_interruption() as is_interrupted,
        ):
            # Zipped with the steps first, so that no update begins after the last.
            for step, (position, parts) in zip(
                range(start.step + 1, n_steps + 1), updates(start), strict=False
            ):
                advance(1, f"loss {parts['loss']:.2f}")
                is_last = step == n_steps
                if step % log_every_steps == 0 or is_last:
                    log.write(json.dumps({"step": step, **parts}) + "\n")
                    log.flush()
                ends_here = is_interrupted()
                if step % checkpoint_every_steps == 0 or is_last or ends_here:
                    save_checkpoint(checkpoints, network, optimiser, position, run)
                if ends_here:
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise Interrupted(f"{title} after step {steps_done(checkpoints)} of {n_steps}") from None


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
    norm = get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
    if not bool(torch.isfinite(norm)):
        raise DataError(
            f"{where}: the gradient is {float(norm)}, first not finite is that of "
            f"{non_finite_gradient(network)}, {remedy}"
        )
    # A non-finite norm, refused above, would make all gradients non-finite here.
    clip_grads_with_norm_(network.parameters(), max_gradient_norm, norm)
    optimiser.step()
    return float(norm)


def _open_log(path: Path, step: int) -> Any:
    """Opens the log for appending, and removes lines of steps after the checkpoint."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if _step_of(line) <= step]
    make_folder(path.parent)
    write_text(path, "".join(f"{line}\n" for line in kept))
    return path.open("a", encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # a line that was cut by an interruption
