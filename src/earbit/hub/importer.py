"""The interface of an importer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from earbit.hub.heads import ImportedHead
from earbit.model import ModelConfig
from earbit.nn.precision import Granularity, Precision


@dataclass(frozen=True, slots=True)
class Imported:
    """A model of another program, converted to earbit."""

    config: ModelConfig
    tensors: Mapping[str, Tensor]
    """The complete state dict of `AudioModel(config)`, in float32, with quantized leaves if any."""
    origin: Mapping[str, Any]
    """JSON values that describe the source, stored in the model file."""
    states: str = ""
    """Which hidden states of the source program the states equal."""
    ignored: tuple[str, ...] = ()
    """Names of tensors in the source that the model has no use for."""
    head: ImportedHead | None = None
    """Head of a task that the source has."""
    assumed: tuple[str, ...] = ()
    """Assumed values of settings missing in the source, for example `12 heads`."""
    precisions: Mapping[str, Precision] = field(default_factory=dict)
    """Precisions of quantized leaves by name; empty for a model in float."""
    granularities: Mapping[str, Granularity] = field(default_factory=dict)
    """Granularities of the weights of quantized leaves."""


@dataclass(frozen=True, slots=True)
class Importer:
    """Importer of one source format."""

    title: str
    """Name in messages: `checkpoint of fairseq`."""
    recognises: Callable[[Path], bool]
    """Whether a file or folder has this format, by its content; raises no errors."""
    read: Callable[[Path], Imported]
    """Reads the model without executing anything from the source.

    Raises FormatError for damaged or missing tensors, and UnsupportedError, naming the field, for a
    model that `AudioModel` cannot express."""
