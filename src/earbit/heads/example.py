"""Clips of a task: examples to predict and trials to compare, importable without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One clip of a task."""

    id: str
    target: Any
    """A class, a tuple of one class per slot, a tuple of symbols, or segments, by kind."""
    speaker: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """Two clips to compare."""

    first: str
    second: str
    is_match: bool
