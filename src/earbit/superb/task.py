"""Description of a task as data, importable without PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

KindName = Literal["class", "sequence", "vector", "segments", "match"]
ProtocolName = Literal["superb", "proxy"]
Labels = Mapping[str, Any]
"""Fields of a clip in the manifest; `speaker` includes guesses."""
PUBLISHED_LRS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
"""Learning rates of the published sweep."""

SCORES_NAME = "scores.json"
FINETUNED = "fine-tuned, not SUPERB"
"""Mark of every score of a model that was trained with its head."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """Training settings of the heads of a task."""

    lrs: tuple[float, ...] = PUBLISHED_LRS
    """Learning rates of the sweep."""
    batch_size: int
    n_steps: int
    """Number of updates."""
    n_checks: int
    """Number of evaluations on the validation clips per training run."""
    d_hidden: int
    """Width of the hidden layers of the head."""
    max_s: float | None = None
    """Length of training clips in seconds; longer ones are cropped at random in every batch."""


NO_TRAINING = Protocol(lrs=(), batch_size=0, n_steps=0, n_checks=0, d_hidden=0)
"""Protocol of a task without training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A downstream task of SUPERB (arXiv 2105.01051)."""

    name: str
    title: str
    label: str
    """Field of the manifest that holds the target."""
    example: str = ""
    """The fields in manifest.jsonl of a label that no column of a table can hold."""
    targets: Callable[[Sequence[Labels]], Sequence[Any]] | None = None
    """(labels of every clip) -> target or None of every clip; by default the values of `label`."""
    kind: KindName
    """Kind of output, a row of `earbit.heads.kinds.table.KINDS`."""
    head: str
    """A row of `earbit.heads.table.HEADS`; empty for a task without training."""
    metrics: tuple[str, ...]
    """Rows of `earbit.heads.metrics.METRICS`; the first selects checkpoint and learning rate."""
    published: Protocol
    """The protocol of the benchmark."""
    proxy: Protocol
    """A protocol for a small corpus."""
    max_gradient_norm: float = 1.0
    weight_decay: float = 0.0
    is_balanced: bool = False
    """Whether training draws every target equally often, with replacement."""
    is_spotting: bool = False
    """Whether audio without any target occurs in use, so a threshold rejects labels."""
    is_folded: bool = False
    """Whether a corpus with the label `fold` is scored by cross-validation."""
    picked_on_test: Literal["", "checkpoint", "setting"] = ""
    """What the leaderboard picks on the test clips, for `value_picked_on_test` in scores.json."""
    synthetic: str = "synthetic"
    """Name of the synthetic corpus that has the labels of the task."""
    source: str

    def targets_of(self, labels: Sequence[Labels]) -> Sequence[Any]:
        """Values of the targets of all clips; None for a clip without one."""
        if self.targets is not None:
            return self.targets(labels)
        return [clip.get(self.label) for clip in labels]
