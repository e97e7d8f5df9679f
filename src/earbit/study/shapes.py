"""Encoders of a study by preset, or by a file with the shape of a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from earbit.config import load
from earbit.errors import ConfigError
from earbit.model import ModelConfig
from earbit.presets import PRESETS
from earbit.progress import say
from earbit.upstream.names import FBANK

NAME = re.compile(r"\w[\w.+-]*")


def shapes_of(encoders: Sequence[str]) -> tuple[tuple[str, ...], dict[str, ModelConfig]]:
    """Returns unique names of encoders, and the configurations of those given as files.

    The name of a file is that of its encoder.  Raises ConfigError for an invalid file, for a name
    that cannot be that of an encoder, and for two encoders with one name.
    """
    shapes: dict[str, ModelConfig] = {}
    found: dict[str, str | Path] = {}
    for where in encoders:
        place = where if where in PRESETS else Path(where).resolve()
        name = where if where in PRESETS else Path(where).stem
        if found.get(name) == place:
            say(f"{where}: given twice; it is taken once")
            continue
        if name in found or (name in PRESETS and where != name):
            other = found.get(name, "a preset")
            raise ConfigError(f"{where}: {other} has the name {name} too; rename the file")
        found[name] = place
        if name not in PRESETS:
            shapes[name] = _shape(where, name)
    return tuple(found), shapes


def _shape(where: str, name: str) -> ModelConfig:
    if name == FBANK or not NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: {name!r} cannot be the name of an encoder; allowed: letters, digits and "
            f"_.+- after a letter or digit, and not {FBANK}; rename the file"
        )
    shape = load(ModelConfig, where)
    if shape.n_units is not None:
        raise ConfigError(
            f"{where}: n_units={shape.n_units}; leave it out, the study sets it (--set n_units=)"
        )
    return shape
