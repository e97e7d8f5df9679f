"""Checks the path of a program before the model is built."""

from __future__ import annotations

from pathlib import Path

from earbit.errors import ConfigError
from earbit.files import require_place

SUFFIX = ".safetensors"


def require_program_place(out: Path) -> None:
    """Raises ConfigError for another suffix, and DataError if no file can be written."""
    if out.suffix != SUFFIX:
        raise ConfigError(f"{out}: a program file ends in {SUFFIX}")
    require_place(out)
