"""Atomic training checkpoints, one folder per step, safe against `kill -9` at any time.

`checkpoints/step-00000200/` holds model.safetensors, optimiser.safetensors and state.json.  It is
written under a temporary name, flushed and renamed.  The two newest checkpoints are kept.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from earbit.errors import ConfigError, DataError, FormatError
from earbit.files import flush
from earbit.run_folder import differences

CHECKPOINTS = "checkpoints"
"""Name of the checkpoint folder inside the folder of a run."""
N_KEPT = 2


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
) -> None:
    """Writes a checkpoint below `folder`; `run` describes the run and is compared at resume."""
    final = folder / f"step-{position.step:08d}"
    temporary = folder / f".{final.name}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        save_file(_contiguous(model.state_dict()), temporary / "model.safetensors")
        save_file(_optimiser_tensors(optimiser), temporary / "optimiser.safetensors")
        state = json.dumps({"position": asdict(position), "run": run}, indent=2)
        (temporary / "state.json").write_text(state + "\n", encoding="utf-8")
        for file in temporary.iterdir():
            flush(file)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        flush(folder)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{final}: checkpoint cannot be written ({error})") from error
    for old in sorted(folder.glob("step-*"))[:-N_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def load_newest(
    folder: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer, run: dict[str, Any]
) -> Position | None:
    """Restores the newest checkpoint into model and optimiser; returns None without a checkpoint.

    Raises ConfigError if its run has another description, and FormatError if it is damaged.
    """
    newest = _newest(folder)
    if newest is None:
        return None
    state = _same_run(newest, run)
    try:
        model.load_state_dict(load_file(newest / "model.safetensors"))
        _restore_optimiser(optimiser, load_file(newest / "optimiser.safetensors"))
        return Position(**state["position"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _damaged(newest, error) from error


def check_same_run(folder: Path, run: dict[str, Any]) -> None:
    """Checks, before anything is written, that the newest checkpoint belongs to `run`.

    run: the description of the run, or its known part.  Raises the errors of `load_newest`.
    """
    newest = _newest(folder)
    if newest is not None:
        _same_run(newest, run, names=tuple(run))


def steps_done(folder: Path) -> int:
    """Number of updates in the newest checkpoint below `folder`; 0 without a checkpoint."""
    newest = _newest(folder)
    return 0 if newest is None else int(newest.name.removeprefix("step-"))


def _newest(folder: Path) -> Path | None:
    return max(folder.glob("step-*"), default=None)


def _same_run(
    checkpoint: Path, run: dict[str, Any], names: tuple[str, ...] | None = None
) -> dict[str, Any]:
    """Reads state.json and compares it with `run`; names: parts to compare, None for all."""
    try:
        state: dict[str, Any] = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        before = {k: v for k, v in state["run"].items() if names is None or k in names}
        differ = differences(before, json.loads(json.dumps(run)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(checkpoint, error) from error
    if differ is not None:
        raise ConfigError(f"{checkpoint.parent.parent}: holds {differ}; give another --out")
    return state


def _damaged(checkpoint: Path, error: Exception) -> FormatError:
    return FormatError(f"{checkpoint}: damaged checkpoint ({error}); delete this folder")


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return _contiguous(
        {f"{i}.{name}": value for i, values in state.items() for name, value in values.items()}
    )


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
