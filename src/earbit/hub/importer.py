"""The contract of an importer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from earbit.model import ModelConfig


@dataclass(frozen=True, slots=True)
class Imported:
    """A model of another program in the form of earbit."""

    config: ModelConfig
    tensors: Mapping[str, Tensor]
    """The state dict of `AudioModel(config)`: every name, float32."""
    origin: Mapping[str, Any]
    """JSON values about the source, kept in the model file."""


@dataclass(frozen=True, slots=True)
class Importer:
    """One source format."""

    title: str
    """For messages: `Hugging Face folder of a HuBERT`."""
    recognises: Callable[[Path], bool]
    """Whether a file or folder has this format; looks at its content and raises nothing."""
    read: Callable[[Path], Imported]
    """Reads it.  Raises FormatError for damaged or missing tensors, and UnsupportedError, naming
    the field, for a model that `AudioModel` cannot express.  Executes nothing from the source."""
