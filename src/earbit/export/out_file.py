"""Checks the place of a program before a model is built."""

from __future__ import annotations

from pathlib import Path

from earbit.errors import ConfigError
from earbit.files import require_place
from earbit.model_names import format_of

SUFFIX = ".safetensors"


def require_program_place(out: Path) -> None:
    """Raises ConfigError for another suffix and for an existing model or head.

    Raises DataError where no file can be written.
    """
    if out.suffix != SUFFIX:
        raise ConfigError(
            f"{out}: a program file ends in {SUFFIX}; --format onnx and --format hf write folders"
        )
    require_place(out)
    held = format_of(out)
    if held is not None and not held.startswith("earbit-program-"):
        raise ConfigError(
            f"{out}: holds a trained model or head ({held}), which a program would replace; give "
            "another --out"
        )
