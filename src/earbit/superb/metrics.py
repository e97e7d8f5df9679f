"""Table of metrics: pure functions of lists of predictions and references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from earbit.errors import DataError, UnsupportedError


def accuracy(predictions: Sequence[Hashable], references: Sequence[Hashable]) -> float:
    """Fraction of predictions that equal their reference, in all slots if there are several."""
    _check(predictions, references)
    pairs = zip(predictions, references, strict=True)
    return sum(p == r for p, r in pairs) / len(references)


def mean_class_accuracy(predictions: Sequence[Hashable], references: Sequence[Hashable]) -> float:
    """Mean recall over the classes of the references (unweighted average recall)."""
    _check(predictions, references)
    hits = Counter(r for p, r in zip(predictions, references, strict=True) if p == r)
    recalls = [hits[label] / n for label, n in Counter(references).items()]
    return sum(recalls) / len(recalls)


def word_error_rate(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> float:
    """Word error rate: word edits divided by the number of words in all references.

    For symbols that end in a space this is the symbol error rate.
    """
    _check(predictions, references)
    rate: float = _jiwer().wer(_texts(references), _texts(predictions))
    return rate


def character_error_rate(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> float:
    """Character error rate: character edits divided by the number of reference characters."""
    _check(predictions, references)
    rate: float = _jiwer().cer(_texts(references), _texts(predictions))
    return rate


@dataclass(frozen=True, slots=True)
class Metric:
    """Row of the table: (predictions, references) -> value."""

    of: Callable[[Sequence[Any], Sequence[Any]], float]
    higher_is_better: bool

    def is_better(self, value: float, than: float) -> bool:
        """Whether one value is better than another; any number is better than NaN."""
        if value != value or than != than:
            return value == value
        return value > than if self.higher_is_better else value < than


METRICS = {
    "accuracy": Metric(accuracy, higher_is_better=True),
    "mean_class_accuracy": Metric(mean_class_accuracy, higher_is_better=True),
    "wer": Metric(word_error_rate, higher_is_better=False),
    "cer": Metric(character_error_rate, higher_is_better=False),
}


def text_of(symbols: Sequence[str]) -> str:
    """Concatenates symbols to text; a symbol that ends a word includes its space."""
    return "".join(symbols).strip()


def _texts(sequences: Sequence[Sequence[str]]) -> list[str]:
    return [text_of(symbols) for symbols in sequences]


def _jiwer() -> Any:
    try:
        import jiwer
    except ImportError as error:
        raise UnsupportedError(
            'error rates of text need jiwer, which is not installed; pip install "earbit[eval]"'
        ) from error
    return jiwer


def _check(predictions: Sequence[Any], references: Sequence[Any]) -> None:
    if len(predictions) != len(references) or not references:
        raise DataError(
            f"{len(predictions)} predictions for {len(references)} references; a metric needs "
            "one prediction for each of at least one reference"
        )
