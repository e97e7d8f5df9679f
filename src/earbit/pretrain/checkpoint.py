"""Atomic training checkpoints, one folder per step, safe against `kill -9` at any time.

`checkpoints/step-00000200/` holds model.safetensors, optimiser.safetensors and state.json.  It is
written under a temporary name, flushed and renamed.  The newest checkpoints are kept.  Rank 0
writes, and all ranks read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from earbit.distributed import exchange, first, n_ranks
from earbit.errors import ConfigError, DataError, EarbitError, FormatError
from earbit.files import flush
from earbit.pretrain.continuation import continued, why_not_continued
from earbit.pretrain.sharded import kept_by_first, load_into, shared_out
from earbit.run_folder import differences

CHECKPOINTS = "checkpoints"
"""Name of the checkpoint folder inside the folder of a run."""
MICRO_BATCHES = "micro_batches"
"""Part of a run's description: micro-batches of an update, over all ranks."""
N_KEPT = 2
Scaler = torch.amp.GradScaler


@dataclass(frozen=True, slots=True)
class Position:
    """Progress of a run; with the seed it determines all random state."""

    step: int
    """Number of completed updates."""
    epoch: int
    batches_done: int
    """Number of consumed batches of this epoch."""


def save_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    position: Position,
    run: dict[str, Any],
    *,
    scaler: Scaler | None = None,
    n_kept: int = N_KEPT,
    best: Mapping[str, float] | None = None,
) -> None:
    """Writes a checkpoint below `folder`; `run` describes the run and is compared at resume.

    scaler: that of a loss in float16.  best: validation figures if they are the best so far.
    Raises DataError if it cannot be written, on all ranks, and leaves no part of it.
    """
    # All ranks: tensors that are shared out among them are gathered.
    weights = kept_by_first(model.state_dict())
    moments = kept_by_first(_optimiser_tensors(optimiser))
    state: dict[str, Any] = {"position": asdict(position), "run": run}
    if best is not None:
        state["best"] = dict(best)
    if scaler is not None and scaler.is_enabled():
        state["scaler"] = scaler.state_dict()
    first(lambda: _write(folder, weights, moments, state, position.step, n_kept))


def _write(
    folder: Path,
    weights: dict[str, Tensor],
    moments: dict[str, Tensor],
    state: dict[str, Any],
    step: int,
    n_kept: int,
) -> None:
    final = folder / f"step-{step:08d}"
    temporary = folder / f".{final.name}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".step-*.tmp"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        temporary.mkdir()
        save_file(weights, temporary / "model.safetensors")
        save_file(moments, temporary / "optimiser.safetensors")
        text = json.dumps(state, indent=2)
        (temporary / "state.json").write_text(text + "\n", encoding="utf-8")
        for file in temporary.iterdir():
            flush(file)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        flush(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        kept = _newest(folder)
        has = "no checkpoint is kept" if kept is None else f"{kept.name} is kept"
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{final}: checkpoint cannot be written ({reason}); {has}: free some space and start "
            "the same command again"
        ) from error
    for old in sorted(folder.glob("step-*"))[:-n_kept]:
        shutil.rmtree(old, ignore_errors=True)


def load_newest(
    folder: Path,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    run: dict[str, Any],
    scaler: Scaler | None = None,
) -> Position | None:
    """Restores the newest checkpoint into model and optimiser; returns None without a checkpoint.

    Raises ConfigError if its run has another description or the ranks see different checkpoints,
    FormatError if it is damaged, and DataError if the disk cannot be read.
    """
    newest = _newest(folder)
    names = [None if name is None else str(name) for name in exchange(newest and newest.name)]
    if len(set(names)) > 1:
        raise ConfigError(
            f"{folder}: the ranks see different checkpoints ({', '.join(map(str, names))}); give "
            "an --out that all machines share"
        )
    if newest is None:
        return None
    state = _same_run(newest, run)
    try:
        load_into(model, load_file(newest / "model.safetensors"))
        _restore_optimiser(optimiser, load_file(newest / "optimiser.safetensors"))
        if scaler is not None and scaler.is_enabled():
            scaler.load_state_dict(state["scaler"])
        return Position(**state["position"])
    except torch.OutOfMemoryError:
        raise
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise unreadable(newest, error) from error


def check_same_run(folder: Path, run: dict[str, Any]) -> None:
    """Checks, before anything is written, that the newest checkpoint belongs to `run`.

    run: the description of the run, or its known part.  Raises the errors of `load_newest`.
    """
    newest = _newest(folder)
    if newest is not None:
        _same_run(newest, run, names=tuple(run))


def description_in(folder: Path) -> dict[str, Any] | None:
    """Description of the run of the newest checkpoint; None without one."""
    newest = _newest(folder)
    if newest is None:
        return None
    try:
        return dict(json.loads((newest / "state.json").read_text(encoding="utf-8"))["run"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise unreadable(newest, error) from error


def steps_done(folder: Path) -> int:
    """Number of updates in the newest checkpoint below `folder`; 0 without a checkpoint."""
    newest = _newest(folder)
    return 0 if newest is None else int(newest.name.removeprefix("step-"))


def figures_in(folder: Path) -> dict[str, float] | None:
    """Validation figures of the newest checkpoint if they were the best when it was saved."""
    newest = _newest(folder)
    if newest is None:
        return None
    try:
        state = json.loads((newest / "state.json").read_text(encoding="utf-8"))
        figures = state.get("best")
        return None if figures is None else {str(k): float(v) for k, v in figures.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise unreadable(newest, error) from error


def _newest(folder: Path) -> Path | None:
    return max(folder.glob("step-*"), default=None)


def _same_run(
    checkpoint: Path, run: dict[str, Any], names: tuple[str, ...] | None = None
) -> dict[str, Any]:
    """Reads state.json and compares it with `run`; names: parts to compare, None for all.

    Another number of steps is allowed where `continued` allows it.
    """
    try:
        state: dict[str, Any] = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        before = {k: v for k, v in state["run"].items() if names is None or k in names}
        _check_micro_batches(checkpoint, before, run)
        now, step = json.loads(json.dumps(run)), int(state["position"]["step"])
        differ = differences(continued(before, now, step), now)
        reason = why_not_continued(before, now, step) if differ is not None else ""
    except ConfigError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(checkpoint, error) from error
    if differ is not None:
        because = f" ({reason})" if reason else ""
        raise ConfigError(
            f"{checkpoint.parent.parent}: holds {differ}{because}; give another --out"
        )
    return state


def _check_micro_batches(
    checkpoint: Path, before: Mapping[str, Any], run: Mapping[str, Any]
) -> None:
    """Raises ConfigError if an update has another number of micro-batches than before."""
    there, here = before.get(MICRO_BATCHES, 1), run.get(MICRO_BATCHES, before.get(MICRO_BATCHES, 1))
    if there != here:
        ranks = n_ranks()
        fits = there % ranks == 0
        remedy = (
            f"set train.accumulation={there // ranks}"
            if fits
            else f"start as many ranks as divide {there}"
        )
        raise ConfigError(
            f"{checkpoint.parent.parent}: holds a run with {there} micro-batches in an update, "
            f"here {ranks} rank{'s' * (ranks > 1)} x train.accumulation={here // ranks} = {here}; "
            f"{remedy}, or give another --out"
        )


def unreadable(checkpoint: Path, error: Exception) -> EarbitError:
    """The error about a checkpoint that cannot be read now, or that is damaged."""
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        return DataError(
            f"{checkpoint}: cannot be read ({error.strerror or error}); start the same command "
            "again when it can"
        )
    return FormatError(
        f"{checkpoint}: damaged checkpoint ({error}); move this folder out of {checkpoint.parent}"
    )


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {f"{i}.{name}": value for i, values in state.items() for name, value in values.items()}


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    groups = optimiser.state_dict()["param_groups"]
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for i, values in state.items():
        state[i] = {name: shared_out(value, parameters[i]) for name, value in values.items()}
    optimiser.load_state_dict({"state": state, "param_groups": groups})
