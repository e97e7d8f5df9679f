"""File format of a trained head: one safetensors file with tensors and JSON metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from earbit.errors import ConfigError, FormatError
from earbit.files import write_whole
from earbit.heads.head import Head, HeadShape
from earbit.heads.kinds.kind import Slots
from earbit.heads.table import HEADS
from earbit.superb.imported import IMPORTED
from earbit.superb.task import Task
from earbit.superb.tasks import task_named

FORMAT = "earbit-head-1"
HEAD_NAME = "head.safetensors"
METADATA_KEY = "earbit"


@dataclass(frozen=True, kw_only=True, slots=True)
class GridPoint:
    """The result of one learning rate on the validation clips."""

    lr: float
    value: float
    """First metric of the task at the best evaluation."""
    step: int
    """Updates before the best evaluation."""
    n_skipped: int
    """Updates skipped because the gradient was not finite."""
    test_value: float | None = None
    """Best value of all evaluations on the test clips, where the leaderboard picks there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedHead:
    """A head with its task and the names of its outputs."""

    task: Task
    head: Head
    slots: Slots
    model_digest: str
    """Digest of the model that computed the training features."""
    point: GridPoint
    min_log_odds: float | None = None
    """Log odds below which a label is rejected (`earbit.superb.rejection`)."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all outputs in order."""
        return tuple(name for slot in self.slots for name in slot)


def save_head(path: Path, trained: TrainedHead) -> None:
    """Writes a head atomically."""
    header = {
        "format": FORMAT,
        "task": trained.task.name,
        "shape": asdict(trained.head.shape),
        "outputs": trained.outputs,
        "slots": [len(slot) for slot in trained.slots],
        "model_digest": trained.model_digest,
        "point": asdict(trained.point),
        "min_log_odds": trained.min_log_odds,
    }
    tensors = {name: t.detach().contiguous() for name, t in trained.head.state_dict().items()}
    metadata = {METADATA_KEY: json.dumps(header)}
    write_whole(path, lambda temporary: save_file(tensors, temporary, metadata))


def load_head(where: str | Path) -> TrainedHead:
    """Loads a head that `run_task` trained, from its file or its folder.

    Raises FormatError for a file that is damaged, is not a head, or names an unknown task.
    """
    path = head_path(where)
    with _damage_named(path):
        return _parsed(*_opened(path))


def head_path(where: str | Path) -> Path:
    """Path of the head file: `path` itself, or HEAD_NAME in a folder."""
    path = Path(where)
    return path / HEAD_NAME if path.is_dir() else path


def _opened(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        tasks = ", ".join(sorted(str(p.parent) for p in path.parent.glob(f"*/{HEAD_NAME}")))
        cure = tasks or "a folder of `earbit superb` or `import`"
        raise FormatError(f"{path}: not a readable head ({error}); give {cure}") from error
    if text is None:
        raise FormatError(f"{path}: a safetensors file, but not a head of earbit; give another")
    return json.loads(text), tensors


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except FormatError:
        raise
    except ConfigError as error:
        raise FormatError(f"{path}: {error}; another version of earbit may read it") from error
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise FormatError(f"{path}: damaged head ({reason}); delete it, train again") from error


def _parsed(header: dict[str, Any], tensors: dict[str, Tensor]) -> TrainedHead:
    if header["format"] != FORMAT:
        raise ConfigError(f"head of format {header['format']!r}, this version reads {FORMAT!r}")
    task = IMPORTED.get(header["task"]) or task_named(header["task"])
    names = iter([str(name) for name in header["outputs"]])
    sizes = header.get("slots", [len(header["outputs"])])
    slots = tuple(tuple(next(names) for _ in range(size)) for size in sizes)
    shape = HeadShape(**header["shape"])
    if sum(map(len, slots)) != shape.n_outputs or next(names, None) is not None:
        raise ValueError(
            f"{len(header['outputs'])} names in slots of {sizes} for {shape.n_outputs} outputs"
        )
    sweep = header.get("sweep", {})  # in place of `point` in version 0.1.0
    point = header["point"] if "point" in header else sweep["points"][sweep["best"]]
    min_log_odds = header.get("min_log_odds")
    # Building a head draws random weights; the global generator must keep its state.
    with torch.random.fork_rng(devices=[]):
        head = HEADS[task.head](shape)
    head.load_state_dict(tensors)
    return TrainedHead(
        task=task,
        head=head.eval(),
        slots=slots,
        model_digest=str(header.get("model_digest", "")),
        point=GridPoint(**point),
        min_log_odds=None if min_log_odds is None else float(min_log_odds),
    )
