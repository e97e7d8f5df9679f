"""Tensors of a file that are read when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Shape and type of a tensor in a file, before its data are read."""

    shape: tuple[int, ...]
    is_floating: bool
    read: Callable[[], Tensor]
    """Reads the tensor; raises FormatError for a damaged file."""


Stored = dict[str, StoredTensor]
