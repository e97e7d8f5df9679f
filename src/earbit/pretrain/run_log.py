"""The log of a training: OUT/log.jsonl, and the same scalars for TensorBoard if asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from earbit.extras import imported
from earbit.files import make_folder, write_text
from earbit.pretrain.faults import append, lines_until

LOG_NAME = "log.jsonl"
TENSORBOARD_FOLDER = "tensorboard"


class WriteLine(Protocol):
    """Writes one line of the log."""

    def __call__(self, step: int, values: Mapping[str, Any]) -> None:
        """Writes the scalars of an update, counted from 1."""


@contextmanager
def opened_log(out_dir: Path, step: int, *, tensorboard: bool = False) -> Iterator[WriteLine]:
    """Opens the log of a run for appending; lines of steps after `step` are removed.

    tensorboard: whether to write event files to OUT/tensorboard too.  Raises UnsupportedError if
    TensorBoard is not installed, and DataError if a line cannot be written.
    """
    path = out_dir / LOG_NAME
    writer = _tensorboard_writer(out_dir / TENSORBOARD_FOLDER, step) if tensorboard else None
    make_folder(out_dir)
    write_text(path, "".join(f"{line}\n" for line in lines_until(path, step)))

    def write(step: int, values: Mapping[str, Any]) -> None:
        append(path, [{"step": step, **values}])
        if writer is not None:
            for name, value in scalars(values).items():
                writer.add_scalar(name, value, step)
            writer.flush()

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()


def scalars(values: Mapping[str, Any]) -> dict[str, float]:
    """Tags of TensorBoard and their values: `train/`, `valid/` and `machine/` group the charts."""
    tags: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            tags |= {f"{name}/{key}": float(one) for key, one in value.items()}
        elif name.startswith("valid_"):
            tags[f"valid/{name.removeprefix('valid_')}"] = float(value)
        else:
            tags[f"train/{name}"] = float(value)
    return tags


def require_tensorboard() -> None:
    """Raises UnsupportedError if TensorBoard is not installed."""
    imported("tensorboard", "tensorboard", "tensorboard=true")


def _tensorboard_writer(folder: Path, step: int) -> Any:
    require_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    # Steps from `purge_step` on, of a run that was interrupted, are hidden by TensorBoard.
    return SummaryWriter(str(folder), purge_step=step + 1)
