"""Names of models: presets, and files and folders written by earbit.  Known without PyTorch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from earbit.errors import ConfigError
from earbit.foreign import absent, is_hub_name, refuse_foreign, safetensors_metadata
from earbit.near_names import near_names
from earbit.presets import PRESETS, require_preset
from earbit.progress import say

MODEL_FILE_NAME = "model.safetensors"
WANTED = "a model folder or file that earbit trained, or a preset"


def model_path(where: str | Path) -> Path:
    """The model file of a path: the file itself, or `model.safetensors` in a folder."""
    path = Path(where)
    return path / MODEL_FILE_NAME if path.is_dir() else path


def require_model(where: str) -> None:
    """Raises ConfigError unless the argument is a preset or an existing model file.

    FormatError for a model of another program.
    """
    if where in PRESETS:
        return
    refuse_foreign(Path(where), WANTED)
    if not Path(where).exists() and is_hub_name(where):
        raise ConfigError(absent(Path(where)))
    if not model_path(where).exists():
        raise ConfigError(
            f"{where!r} is neither a preset nor a model file{near_names(Path(where))}; presets: "
            f"{', '.join(PRESETS)}"
        )


def distinct_models(models: Sequence[str]) -> list[str]:
    """Models without repetitions, which are reported.  Paths of the same file are one model."""
    first: dict[str | Path, str] = {}
    for where in models:
        place = where if where in PRESETS else model_path(where).resolve()
        if place in first:
            say(f"{where}: given twice; it is taken once, as {first[place]}")
        first.setdefault(place, where)
    return list(first.values())


def require_recipe(where: str) -> None:
    """Raises ConfigError unless the argument is a preset or an existing recipe file."""
    _require_preset_or_file(
        where, "recipe not found; give a preset or a file like the examples in recipes/"
    )


def require_shape(where: str) -> None:
    """Raises ConfigError unless the argument is a preset or an existing file of values."""
    _require_preset_or_file(
        where, "not found; give a preset, or a .yaml or .json file with the shape of a model"
    )


def _require_preset_or_file(where: str, missing: str) -> None:
    """missing: what to say of a file that does not exist."""
    if not Path(where).suffix:
        require_preset(where)
    elif not Path(where).is_file():
        raise ConfigError(f"{Path(where)}: {missing}")


def refuse_program(where: str, cure: str) -> None:
    """Raises ConfigError for an exported program.  cure: advice in the message."""
    if where not in PRESETS and Path(where).is_file() and _says_program(Path(where)):
        raise ConfigError(f"{where}: already a program; {cure}")


def _says_program(path: Path) -> bool:
    return (format_of(path) or "").startswith("earbit-program-")


def format_of(path: Path) -> str | None:
    """Format of a file of earbit by its metadata; None for damaged and foreign files."""
    try:
        kind = json.loads(safetensors_metadata(path)["earbit"])["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return str(kind)
