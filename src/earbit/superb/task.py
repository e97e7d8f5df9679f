"""Description of a task as plain data, importable without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

KindName = Literal["class", "sequence"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One clip of a task."""

    id: str
    target: Any
    """A class, a tuple of one class per slot, or a tuple of symbols, depending on the kind."""
    speaker: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A downstream task of SUPERB (arXiv 2105.01051)."""

    name: str
    title: str
    label: str
    """Field of the manifest that holds the target."""
    kind: KindName
    """Kind of output, a row of `earbit.superb.kinds.table.KINDS`."""
    head: str
    """A row of `earbit.superb.heads.HEADS`."""
    metrics: tuple[str, ...]
    """Rows of `earbit.superb.metrics.METRICS`; the first selects checkpoint and learning rate."""
    lrs: tuple[float, ...]
    """Learning rates of the published sweep."""
    batch_size: int
    n_steps: int
    """Number of updates in the published protocol."""
    proxy_lrs: tuple[float, ...]
    """Learning rates for a small corpus."""
    n_proxy_steps: int
    """Number of updates for a small corpus."""
    n_checks: int
    """Number of evaluations on the validation clips per training run."""
    max_gradient_norm: float = 1.0
    weight_decay: float = 0.0
    is_balanced: bool = False
    """Whether training draws every target equally often, with replacement."""
    source: str
