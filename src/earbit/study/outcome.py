"""What became of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["done", "failed", "not run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """State of a step at the end of a study, and its result if it is done."""

    state: State
    result: Mapping[str, Any] | None = None
    wall_s: float | None = None
    error: str | None = None
    """One line; for a step that was not run, the step that it waited for."""
    is_bug: bool = False
    """Whether the error is not one of `earbit.errors`."""
    is_old: bool = False
    """Whether the result was there before this run."""


NOT_RUN = Outcome(state="not run")
