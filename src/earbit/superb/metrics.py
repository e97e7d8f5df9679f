"""Metrics as pure functions over lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from earbit.errors import DataError


def accuracy(predictions: Sequence[Hashable], references: Sequence[Hashable]) -> float:
    """Share of predictions that equal their reference; DataError when there is none."""
    _check(predictions, references)
    pairs = zip(predictions, references, strict=True)
    return sum(p == r for p, r in pairs) / len(references)


def recall_of_class(
    predictions: Sequence[Hashable], references: Sequence[Hashable]
) -> dict[Hashable, float]:
    """For every class among the references: the share of its clips that were recognised."""
    _check(predictions, references)
    pairs = zip(predictions, references, strict=True)
    hits = Counter(r for p, r in pairs if p == r)
    return {label: hits[label] / n for label, n in Counter(references).items()}


def mean_class_accuracy(predictions: Sequence[Hashable], references: Sequence[Hashable]) -> float:
    """Mean recall over the classes, so that a frequent class does not hide a rare one."""
    recalls = recall_of_class(predictions, references)
    return sum(recalls.values()) / len(recalls)


def _check(predictions: Sequence[Hashable], references: Sequence[Hashable]) -> None:
    if len(predictions) != len(references) or not references:
        raise DataError(
            f"{len(predictions)} predictions for {len(references)} references; a metric needs "
            "one prediction for each of at least one reference"
        )
