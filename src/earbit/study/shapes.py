"""Encoders of a study by preset, or by a file with the shape of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from earbit.config import load
from earbit.errors import ConfigError
from earbit.model import ModelConfig
from earbit.presets import PRESETS
from earbit.progress import say


def shapes_of(encoders: Sequence[str]) -> tuple[tuple[str, ...], dict[str, ModelConfig]]:
    """Names of encoders, each once, and the configurations of those that are files.

    The name of a file is that of its encoder.  Raises ConfigError for an invalid file, and for two
    encoders with one name.
    """
    shapes: dict[str, ModelConfig] = {}
    found: dict[str, str] = {}
    for where in encoders:
        name = where if where in PRESETS else Path(where).stem
        if found.get(name) == where:
            say(f"{where}: given twice; it is taken once")
            continue
        if name in found or (name in PRESETS and where != name):
            other = found.get(name, "a preset")
            raise ConfigError(f"{where}: {other} has the name {name} too; rename the file")
        found[name] = where
        if name not in PRESETS:
            shapes[name] = load(ModelConfig, where)
    return tuple(found), shapes
