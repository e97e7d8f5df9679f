"""Loud remarks: rows at chance, below random weights, or below the commonest unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from earbit.study.graph import NO_PLAN, UNTRAINED

Record = dict[str, Any]
EMPTY_OUTPUT = {"wer": 1.0, "cer": 1.0, "per": 1.0, "der": 1.0, "slot_type_f1": 0.0, "mtwv": 0.0}
"""Values of an output without any word, phone, segment, slot or match."""
RANDOM_SCORES = {"eer": 0.5}


def chance_of(score: Mapping[str, Any]) -> float | None:
    """Value of a head that ignores the audio, for the first metric of a score.

    For an accuracy it is the share of the commonest class among the test clips; None where the
    score does not list its classes.
    """
    metric = score["metric"]
    if metric in EMPTY_OUTPUT:
        return EMPTY_OUTPUT[metric]
    if metric in RANDOM_SCORES:
        return RANDOM_SCORES[metric]
    classes = (score.get("splits") or {}).get("classes")
    if metric != "accuracy" or not classes:
        return None
    counts = [counts["test"] for counts in classes.values()]
    return max(counts) / sum(counts) if sum(counts) else None


def is_at_chance(score: Mapping[str, Any]) -> bool:
    """Whether a score is not better than chance, or chance lies in its interval."""
    chance, value = score["chance"], score["value"]
    if chance is None or value is None:
        return False
    if score["interval"] is not None:
        low, high = score["interval"]
        return bool(low <= chance if score["higher_is_better"] else high >= chance)
    return not _is_better(score, value, chance)


def warnings_of(scores: Sequence[Record], training: Iterable[Record]) -> list[Record]:
    """Remarks about the rows of trained models, as records with a text."""
    found: list[Record] = []
    baseline = {
        (one["encoder"], one["seed"], one["task"]): one
        for one in scores
        if one["plan"] == UNTRAINED
    }
    for one in training:
        accuracy, share = one["valid_accuracy"], one["commonest_unit"]
        if accuracy is not None and share is not None and accuracy <= share:
            text = (
                f"unit accuracy {accuracy:.1%} after {one['n_steps']} steps is not above the "
                f"commonest unit ({share:.1%}): the model has learned nothing yet"
            )
            about = "the accuracy of units is not above the share of the commonest unit"
            numbers = f"{accuracy:.1%} against {share:.1%}"
            found.append(_warning("commonest unit", one, None, text, about, numbers))
    for one in scores:
        if one["plan"] in (UNTRAINED, NO_PLAN) or one["value"] is None:
            continue
        if is_at_chance(one):
            found.append(_compared("chance", "is at chance", one, one["chance"]))
        random = baseline.get((one["encoder"], one["seed"], one["task"]))
        of_random = None if random is None else random["value"]
        if of_random is not None and _is_better(one, of_random, one["value"]):
            what = "is worse than random weights"
            found.append(_compared("random weights", what, one, of_random))
    return found


def _compared(kind: str, what: str, score: Record, other: float) -> Record:
    """A warning about a score beside another value."""
    task, metric, value = score["task"], score["metric"], score["value"]
    text = f"{task}: {metric} {value:.3f} {what} ({other:.3f})"
    about, numbers = f"{task}: {metric} {what}", f"{value:.3f} against {other:.3f}"
    return _warning(kind, score, task, text, about, numbers)


def _is_better(score: Mapping[str, Any], value: float, than: float) -> bool:
    return bool(value > than if score["higher_is_better"] else value < than)


def _warning(
    kind: str, row: Record, task: str | None, text: str, about: str, numbers: str
) -> Record:
    """about: the text without numbers, the same for several rows."""
    where = {name: row[name] for name in ("encoder", "plan", "seed")}
    return {"kind": kind, **where, "task": task, "text": text, "about": about, "numbers": numbers}
