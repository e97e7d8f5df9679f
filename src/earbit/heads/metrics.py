"""Table of metrics: functions of predictions and references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.extras import TRAIN, imported
from earbit.heads.cases import MIN_GROUPS, Blocks, Cases, blocks_of, resampled

Rows = NDArray[np.float64]
TWV_BETA = 12.49
"""Cost of a false alarm over that of a miss in QUESST 2014: 1/100 x (1/0.0008 - 1)."""


@dataclass(frozen=True, slots=True)
class Metric:
    """Row of the table: a value of the rows of all cases."""

    rows: Callable[[Sequence[Any], Sequence[Any]], Rows]
    """(predictions, references) -> (cases, columns)."""
    value: Callable[[Blocks], float]
    """Rows of every group of cases -> value."""
    higher_is_better: bool
    is_of_pairs: bool = False
    """Whether a case is a pair of clips: such cases share clips, and are never resampled alone."""

    def of(self, cases: Cases) -> float:
        """Value of all cases."""
        return self.value(self._blocks(cases))

    def resampled(self, cases: Cases) -> Rows:
        """Values of bootstrap samples of the groups, or of the cases where groups are too few.

        The latter do not cover other groups.  Empty for too few groups of pairs.
        """
        if len(set(cases.groups)) >= MIN_GROUPS:
            return resampled(self._blocks(cases), self.value)
        if self.is_of_pairs:
            return np.empty(0)
        alone = replace(cases, groups=[str(i) for i in range(len(cases.groups))])
        return resampled(self._blocks(alone), self.value)

    def is_better(self, value: float, than: float) -> bool:
        """Whether one value is better than another; any number is better than NaN."""
        if value != value or than != than:
            return value == value
        return value > than if self.higher_is_better else value < than

    def _blocks(self, cases: Cases) -> Blocks:
        blocks = blocks_of(self.rows(cases.predictions, cases.references), cases.groups)
        # The ratio of sums needs the sums of a group alone.
        return [b.sum(axis=0, keepdims=True) for b in blocks] if self.value is _ratio else blocks


def text_of(symbols: Sequence[str]) -> str:
    """Concatenates symbols to text; a symbol that ends a word includes its space."""
    return "".join(symbols).strip()


def _ratio(blocks: Blocks) -> float:
    """Sum of the first column over that of the second; NaN without any."""
    total = np.concatenate(blocks).sum(axis=0)
    return float(total[0] / total[1]) if total[1] else float("nan")


def _equal(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
    """(equal, 1): all slots are equal if there are several."""
    return np.array([(p == r, 1) for p, r in zip(predictions, references, strict=True)], float)


def _equal_slots(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
    """(equal slots, slots)."""
    rows = []
    for p, r in zip(predictions, references, strict=True):
        if isinstance(r, str):  # a single slot is no tuple
            rows.append((p == r, 1))
        else:
            rows.append((sum(a == b for a, b in zip(p, r, strict=True)), len(r)))
    return np.array(rows, float)


def _equal_of_class(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
    """(equal, number of the class)."""
    number: dict[Any, int] = {}
    pairs = zip(predictions, references, strict=True)
    return np.array([(p == r, number.setdefault(r, len(number))) for p, r in pairs], float)


def _mean_recall(blocks: Blocks) -> float:
    """Unweighted mean over the classes of the fraction of equal pairs."""
    rows = np.concatenate(blocks)
    n_of_class = np.bincount(rows[:, 1].astype(int))
    hits = np.bincount(rows[:, 1].astype(int), weights=rows[:, 0])
    return float((hits[n_of_class > 0] / n_of_class[n_of_class > 0]).mean())


def _word_edits(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
    """(edits, words of the reference); a symbol that ends in a space is a word."""
    return _edits(predictions, references, _jiwer().process_words)


def _character_edits(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
    """(edits, characters of the reference)."""
    return _edits(predictions, references, _jiwer().process_characters)


def _edits(predictions: Sequence[Any], references: Sequence[Any], process: Any) -> Rows:
    rows = []
    for prediction, reference in zip(predictions, references, strict=True):
        counted = process(text_of(reference), text_of(prediction))
        edits = counted.substitutions + counted.deletions + counted.insertions
        rows.append((edits, counted.hits + counted.substitutions + counted.deletions))
    return np.array(rows, float)


def _slot_types(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
    """(F1 of the sets of slots, 1): 1 if both are empty, 0 if one is."""
    rows = []
    for prediction, reference in zip(predictions, references, strict=True):
        found, wanted = ({name for name, _ in slots_in(text)} for text in (prediction, reference))
        n_both = len(found & wanted)
        rows.append((2 * n_both / (len(found) + len(wanted)) if found or wanted else 1.0, 1))
    return np.array(rows, float)


def _slot_values(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
    """(edits, characters) of the values of the reference.

    Each is compared with the value of the same slot that is nearest, or with an empty one.
    """
    rows = []
    for prediction, reference in zip(predictions, references, strict=True):
        found = slots_in(prediction)
        n_edits = n_characters = 0.0
        for name, value in slots_in(reference):
            candidates = [other for slot, other in found if slot == name] or [""]
            edits = _edits(candidates, [value] * len(candidates), _jiwer().process_characters)
            n_edits += edits[:, 0].min()
            n_characters += len(value)
        rows.append((n_edits, n_characters))
    return np.array(rows, float)


def slots_in(symbols: Sequence[str]) -> list[tuple[str, str]]:
    """Slots and values of symbols with markers: `B-room `, K, I, T, ` E-room`.

    Markers are the symbols of several characters.  A value ends at the first end marker of its
    slot; other markers in it are left out.  Empty values and slots without an end do not count.
    """
    found, i = [], 0
    while i < len(symbols):
        if len(symbols[i]) > 1 and symbols[i].startswith("B-"):
            name = symbols[i][2:].strip()
            ends = (j for j in range(i, len(symbols)) if symbols[j] == f" E-{name}")
            if (end := next(ends, None)) is not None:
                value = "".join(symbol for symbol in symbols[i:end] if len(symbol) == 1).strip()
                found += [(name, value)] if value else []
                i = end
        i += 1
    return found


def _scores(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
    """(score, match)."""
    return np.array(list(zip(predictions, references, strict=True)), float)


def _equal_error_rate(blocks: Blocks) -> float:
    """Rate at which false accepts equal misses, on the interpolated ROC.

    NaN unless there are matches and others, and for scores that are not finite.
    """
    from sklearn.metrics import roc_curve

    rows = np.concatenate(blocks)
    if len(np.unique(rows[:, 1])) < 2 or not np.isfinite(rows).all():
        return float("nan")
    false_accepts, hits, _ = roc_curve(rows[:, 1], rows[:, 0], drop_intermediate=False)
    gap = false_accepts - (1 - hits)  # increases from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    rise = false_accepts[after] - false_accepts[after - 1]
    return float(false_accepts[after - 1] + share * rise)


def _max_term_weighted_value(blocks: Blocks) -> float:
    """Largest term-weighted value over all thresholds; queries without a match are left out.

    TWV = 1 - mean over the queries of (misses / matches + beta x false alarms / other documents).
    Source: NIST STD; MediaEval QUESST 2014.
    """
    _, values = _term_weighted_values(blocks)
    return max(0.0, float(values.max())) if values.size else float("nan")


def term_weighted_threshold(cases: Cases) -> float | None:
    """The threshold of the largest term-weighted value; None if accepting nothing is best."""
    blocks = blocks_of(_scores(cases.predictions, cases.references), cases.groups)
    thresholds, values = _term_weighted_values(blocks)
    return float(thresholds[values.argmax()]) if values.size and values.max() > 0 else None


def _term_weighted_values(blocks: Blocks) -> tuple[Rows, Rows]:
    """Thresholds from high to low and the term-weighted value of each; empty without matches."""
    counted = [rows for rows in blocks if 0 < rows[:, 1].sum() < len(rows)]
    if not counted:
        return np.empty(0), np.empty(0)
    scores = np.concatenate([rows[:, 0] for rows in counted])
    gains = np.concatenate([_gains(rows[:, 1]) for rows in counted]) / len(counted)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(scores[order][1:] != scores[order][:-1], True)  # equal scores share a decision
    return scores[order][ends], np.cumsum(gains[order])[ends]


def _gains(is_match: NDArray[np.float64]) -> NDArray[np.float64]:
    """Change of the value of one query by accepting each document."""
    n_matches = is_match.sum()
    gains = np.where(is_match > 0, 1 / n_matches, -TWV_BETA / (len(is_match) - n_matches))
    return np.asarray(gains, np.float64)


def _diarization_errors(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
    """(missed + false + confused seconds, seconds of speech), overlaps counted, without collar."""
    core, metrics = _pyannote()
    rate = metrics.DiarizationErrorRate(collar=0.0, skip_overlap=False)
    rows = []
    for prediction, reference in zip(predictions, references, strict=True):
        end_s = max((end for _, end, _ in (*prediction, *reference)), default=1.0)
        parts = rate(
            _annotation(core, reference),
            _annotation(core, prediction),
            uem=core.Timeline([core.Segment(0, end_s)]),
            detailed=True,
        )
        errors = parts["missed detection"] + parts["false alarm"] + parts["confusion"]
        rows.append((errors, parts["total"]))
    return np.array(rows, float)


def _annotation(core: Any, segments: Sequence[tuple[float, float, str]]) -> Any:
    annotation = core.Annotation()
    for track, (start_s, end_s, name) in enumerate(segments):
        annotation[core.Segment(start_s, end_s), track] = name
    # Merges segments of one speaker that overlap, as dscore does; else they count twice.
    return annotation.support()


METRICS = {
    "accuracy": Metric(_equal, _ratio, higher_is_better=True),
    "mean_class_accuracy": Metric(_equal_of_class, _mean_recall, higher_is_better=True),
    "slot_accuracy": Metric(_equal_slots, _ratio, higher_is_better=True),
    "wer": Metric(_word_edits, _ratio, higher_is_better=False),
    "cer": Metric(_character_edits, _ratio, higher_is_better=False),
    "per": Metric(_word_edits, _ratio, higher_is_better=False),
    "slot_type_f1": Metric(_slot_types, _ratio, higher_is_better=True),
    "slot_value_cer": Metric(_slot_values, _ratio, higher_is_better=False),
    "eer": Metric(_scores, _equal_error_rate, higher_is_better=False, is_of_pairs=True),
    "mtwv": Metric(_scores, _max_term_weighted_value, higher_is_better=True, is_of_pairs=True),
    "der": Metric(_diarization_errors, _ratio, higher_is_better=False),
}


def _jiwer() -> Any:
    return imported("jiwer", TRAIN, "an error rate of text")


def _pyannote() -> tuple[Any, Any]:
    modules = ("pyannote.core", "pyannote.metrics.diarization")
    core, metrics = (imported(name, TRAIN, "a diarization error rate") for name in modules)
    return core, metrics
