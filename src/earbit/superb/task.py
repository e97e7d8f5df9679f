"""What a task is: a value whose fields are data and functions; one runner serves them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from earbit.audio import splits
from earbit.errors import ConfigError
from earbit.superb.features import FrozenFeatures
from earbit.superb.heads import Head, HeadShape


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One clip of a task."""

    id: str
    target: Any
    """What the functions of the task understand: a class, a text, tuples of slots or segments."""
    speaker: str | None


Splits = splits.Splits[Example]
"""The clips a head is trained on, chosen by, and scored on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """How a head is trained when nothing else is asked for."""

    lrs: tuple[float, ...]
    """Learning rates of the sweep; empty for a task without training."""
    batch_size: int
    n_steps: int
    """Updates of the published protocol."""
    n_proxy_steps: int
    """Updates that are enough for a small corpus."""
    proxy_lrs: tuple[float, ...]
    """The part of the sweep that gets anywhere in so few updates."""
    n_checks: int
    """How often in a run the validation metric is looked at."""
    max_gradient_norm: float = 1.0
    weight_decay: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FitRequest:
    """One head to be trained: one point of the sweep."""

    task: Task
    features: FrozenFeatures
    splits: Splits
    outputs: tuple[str, ...]
    lr: float | None
    """None for a task without training."""
    n_steps: int
    batch_size: int
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GridPoint:
    """How one point of the sweep did on the validation clips."""

    lr: float | None
    value: float
    """The metric of the task at the best check."""
    step: int
    """Updates made by then."""
    n_skipped: int
    """Updates left out because the gradient was not finite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A head as it was at its best check."""

    head: Head
    point: GridPoint


Loss = Callable[[Tensor, Tensor, Sequence[Tensor]], Tensor]
"""(outputs of the head, lengths in frames (B,), encoded targets) -> mean loss of the batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A downstream task of SUPERB (arXiv 2105.01051).

    Outputs of a head are (B, C) for a clip or (B, T, C) for its frames; `decode` sees one clip
    without padding.  `fit` is `earbit.superb.training.train_head` where a head is trained; a task
    that trains nothing gives its own function, and then `encode` and `loss` are None.
    """

    name: str
    title: str
    label: str
    """Label of the manifest that the task is made from."""
    splits: Callable[[Iterable[Any]], Splits]
    """Lhotse cuts -> splits; DataError when their labels do not serve the task."""
    outputs: Callable[[Sequence[Example]], tuple[str, ...]]
    """Training examples -> names of the outputs of a head: classes or symbols."""
    head: Callable[[HeadShape], Head]
    fit: Callable[[FitRequest], Fitted]
    decode: Callable[[Tensor, Sequence[str]], Any]
    """(outputs of one clip, names of the outputs) -> prediction."""
    score: Callable[[Sequence[Any], Sequence[Example]], Mapping[str, float]]
    """(predictions, examples) -> every metric of the task by name."""
    metric: str
    """The metric that is reported first and picks checkpoint and learning rate."""
    higher_is_better: bool
    defaults: Defaults
    source: str
    encode: Callable[[Any, Sequence[str]], Tensor] | None = None
    """(target, names of the outputs) -> int64 tensor."""
    loss: Loss | None = None
    weights: Callable[[Sequence[Example]], Tensor] | None = None
    """Training examples -> how often each is drawn; None draws every one once per epoch."""

    def metrics(self, predictions: Sequence[Any], examples: Sequence[Example]) -> dict[str, float]:
        """Every metric; ConfigError when the task does not compute the one it is named for."""
        values = {name: float(value) for name, value in self.score(predictions, examples).items()}
        if self.metric not in values:
            raise ConfigError(
                f"task {self.name}: no metric {self.metric!r} among {', '.join(values) or 'none'}; "
                "correct its score function"
            )
        return values

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value of the metric beats another; NaN beats nothing, anything beats None."""
        if value != value:
            return False
        if than is None or than != than:
            return True
        return value > than if self.higher_is_better else value < than


def head_shape(request: FitRequest) -> HeadShape:
    """The sizes of a head for these features and outputs."""
    return HeadShape(
        n_states=request.features.n_states,
        width=request.features.width,
        n_outputs=len(request.outputs),
    )


def new_head(request: FitRequest) -> Head:
    """A head with random weights that follow from the seed; nothing global moves."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(request.seed)
        return request.task.head(head_shape(request))
