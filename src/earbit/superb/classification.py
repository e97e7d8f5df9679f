"""Tasks with one label per clip: what keyword, speaker and emotion tasks share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.errors import DataError
from earbit.superb.metrics import accuracy, mean_class_accuracy
from earbit.superb.task import Example


def classes_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """The classes among the examples, sorted; DataError when there are fewer than two."""
    classes = tuple(sorted({str(example.target) for example in examples}))
    if len(classes) < 2:
        raise DataError(
            f"the only class among {len(examples)} clips is {', '.join(classes) or 'none'}; "
            "a classifier needs at least two"
        )
    return classes


def class_index(target: str, classes: Sequence[str]) -> Tensor:
    """Index of a class, int64 of shape (); DataError for a class that training did not have."""
    if target not in classes:
        raise DataError(f"class {target!r} has no training clip; known are {', '.join(classes)}")
    return torch.tensor(classes.index(target))


def class_loss(outputs_BC: Tensor, lengths: Tensor, targets: Sequence[Tensor]) -> Tensor:
    """Cross-entropy of one class per clip, mean over the batch; lengths do not matter."""
    return F.cross_entropy(outputs_BC, torch.stack(list(targets)))


def likeliest_class(outputs_C: Tensor, classes: Sequence[str]) -> str:
    """The class with the largest output."""
    return classes[int(outputs_C.argmax())]


def class_scores(predictions: Sequence[str], examples: Sequence[Example]) -> Mapping[str, float]:
    """Accuracy over clips, and the mean of the accuracies of every class."""
    references = [example.target for example in examples]
    return {
        "accuracy": accuracy(predictions, references),
        "mean_class_accuracy": mean_class_accuracy(predictions, references),
    }


def balanced_weights(examples: Sequence[Example]) -> Tensor:
    """One over the number of clips of the class: every class is drawn equally often."""
    counts = Counter(example.target for example in examples)
    return torch.tensor([1 / counts[example.target] for example in examples])
