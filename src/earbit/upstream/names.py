"""Names of upstreams, known without PyTorch."""

from __future__ import annotations

from pathlib import Path

from earbit.errors import ConfigError, DataError
from earbit.model_names import format_of, require_model
from earbit.shipped import program_path

FBANK = "fbank"
FOLDER_PREFIX = "features:"
RANDOM_PREFIX = "random:"
"""Before a model: random weights in its shape, the baseline of its training."""


def is_program(where: str) -> bool:
    """Whether a name is the file of an exported program, or a program that comes with earbit."""
    path = program_path(where)
    return path.is_file() and (format_of(path) or "").startswith("earbit-program-")


def require_upstream(where: str) -> None:
    """Raises ConfigError for an unknown name, and DataError for a missing folder of features."""
    if where.startswith(FOLDER_PREFIX):
        folder = Path(where.removeprefix(FOLDER_PREFIX))
        if not folder.is_dir():
            raise DataError(
                f"{folder}: no such folder; features:DIR holds a file ID.npy for each clip"
            )
    elif where != FBANK and not is_program(where):
        require_model(where.removeprefix(RANDOM_PREFIX))


def is_pytorch(where: str) -> bool:
    """Whether an upstream is a model in PyTorch."""
    return not (where == FBANK or where.startswith(FOLDER_PREFIX) or is_program(where))


def require_pytorch(where: str, option: str) -> None:
    """Raises ConfigError for an upstream that is no model in PyTorch; option: what needs one."""
    if not is_pytorch(where):
        raise ConfigError(f"{where} with {option}, which needs a model folder or a preset")
