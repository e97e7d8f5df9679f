"""A trained head as one safetensors file: tensors, and as JSON metadata what is needed to use it.

The same file carries the sweep that chose the head, so that a sweep can go on after a kill.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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
from earbit.superb.features import FrozenFeatures
from earbit.superb.heads import Head, HeadShape
from earbit.superb.task import Example, GridPoint, Task
from earbit.superb.tasks import task_named
from earbit.superb.training import predict_all

FORMAT = "earbit-head-1"
METADATA_KEY = "earbit"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedHead:
    """A head with the names of its outputs."""

    head: Head
    outputs: tuple[str, ...]
    model_digest: str = ""
    """Of the model whose features it was trained on; empty in files before this was written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """What a file says beside its head: the run it belongs to and the points done so far."""

    key: str
    points: tuple[GridPoint, ...]
    best: int
    """Index of the point whose head this is."""


def save_head(path: Path, task: Task, trained: TrainedHead, sweep: Sweep) -> None:
    """Writes a head and its sweep; whole or not at all."""
    header = {
        "format": FORMAT,
        "task": task.name,
        "shape": asdict(trained.head.shape),
        "outputs": list(trained.outputs),
        "model_digest": trained.model_digest,
        "sweep": asdict(sweep),
    }
    tensors = {name: t.detach().contiguous() for name, t in trained.head.state_dict().items()}
    metadata = {METADATA_KEY: json.dumps(header)}
    write_whole(path, lambda temporary: save_file(tensors, temporary, metadata))


def load_head(where: str | Path, task: Task) -> TrainedHead:
    """A head that `run_task` trained, from its file or its folder, ready to use.

    Raises FormatError for a file that is damaged, foreign or of another task.
    """
    return read_head(head_path(where), task)[0]


def load_head_of_any_task(where: str | Path) -> tuple[Task, TrainedHead]:
    """A head and the task that it says it is of; raises FormatError as `load_head` does."""
    path = head_path(where)
    with _damage_named(path):
        header, tensors = _opened(path)
        task = task_named(header["task"])
        return task, _parsed(path, task, header, tensors)[0]


def read_head(path: Path, task: Task) -> tuple[TrainedHead, Sweep]:
    """A head and the sweep it comes from; raises FormatError as `load_head` does."""
    with _damage_named(path):
        return _parsed(path, task, *_opened(path))


def head_path(where: str | Path) -> Path:
    """The file that a path means: itself, or `head.safetensors` in a folder."""
    path = Path(where)
    return path / "head.safetensors" if path.is_dir() else path


def _opened(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            tensors: dict[str, Tensor] = {
                name: file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118
            }
    except (SafetensorError, OSError) as error:
        raise FormatError(
            f"{path}: not a readable head ({error}); give the folder of a finished `superb` run"
        ) from error
    if text is None:
        raise FormatError(f"{path}: a safetensors file, but not a head of earbit; give another")
    return json.loads(text), tensors


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, ConfigError) as error:
        if isinstance(error, FormatError):
            raise
        reason = " ".join(str(error).split())
        raise FormatError(f"{path}: damaged head ({reason}); delete it, train again") from error


def _parsed(
    path: Path, task: Task, header: dict[str, Any], tensors: dict[str, Tensor]
) -> tuple[TrainedHead, Sweep]:
    if header["format"] != FORMAT:
        raise FormatError(f"{path}: format {header['format']!r}, this version reads {FORMAT!r}")
    if header["task"] != task.name:
        raise FormatError(
            f"{path}: a head of task {header['task']!r}, not of {task.name!r}; give another folder"
        )
    outputs = tuple(str(name) for name in header["outputs"])
    shape = HeadShape(**header["shape"])
    if shape.n_outputs != len(outputs):
        raise FormatError(f"{path}: {len(outputs)} names for {shape.n_outputs} outputs; damaged")
    stored = header["sweep"]
    points = tuple(GridPoint(**point) for point in stored["points"])
    if not 0 <= stored["best"] < len(points):
        raise FormatError(f"{path}: best point {stored['best']} of {len(points)}; damaged")
    sweep = Sweep(key=str(stored["key"]), points=points, best=stored["best"])
    # The random weights of a new head are overwritten; they must not move the global generator.
    with torch.random.fork_rng(devices=[]):
        head = task.head(shape)
    head.load_state_dict(tensors)
    digest = str(header.get("model_digest", ""))
    return TrainedHead(head=head.eval(), outputs=outputs, model_digest=digest), sweep


def predict(task: Task, trained: TrainedHead, features: FrozenFeatures, clip_id: str) -> Any:
    """What a head says about one clip: a class, a text, ... as the task decodes it."""
    example = Example(id=clip_id, target=None, speaker=None)
    return predict_all(task, trained.head, trained.outputs, features, [example])[0]


def score_with(
    task: Task, trained: TrainedHead, features: FrozenFeatures, examples: Sequence[Example]
) -> dict[str, float]:
    """Every metric of a trained head on other features, as those of the packed runtime.

    Raises ConfigError when the features do not have the shape that the head was trained on.
    """
    shape = trained.head.shape
    if (features.n_states, features.width) != (shape.n_states, shape.width):
        raise ConfigError(
            f"features of {features.n_states} states x {features.width}, the head was trained on "
            f"{shape.n_states} x {shape.width}; use the model or program that it was trained with"
        )
    predictions = predict_all(task, trained.head, trained.outputs, features, examples)
    return task.metrics(predictions, examples)
