"""Slot filling: a transcript with marked slots, character by character, by CTC.

Source: SUPERB, arXiv 2105.01051, as run by s3prl: the head of speech recognition, with the symbols
`B-slot` and `E-slot` around the value of every slot, F1 of slot types and character error rate of
slot values.  Differs from s3prl as speech recognition does, and keeps adjacent slots of one type
apart where the labels do (those of Audio SNIPS do not).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earbit.superb.task import Labels, Protocol, Task


def marked_texts(labels: Sequence[Labels]) -> list[Any]:
    """Symbols of every clip: characters of `text` in upper case, and markers around slot values.

    `slots` is a mapping, or a list of [slot, value] or [slot, value, index of its first word in
    `text`].  Without `text`, the marked values stand alone, in their order.  None where a value is
    not in the text, without slots, unless they are an empty list, and if no clip has any.
    """
    if not any(clip.get("slots") for clip in labels):
        return [None] * len(labels)  # every text would have an F1 of 1
    return [_marked(clip.get("text"), clip.get("slots")) for clip in labels]


def _marked(text: Any, slots: Any) -> tuple[str, ...] | None:
    spoken = " ".join(text.upper().split()) if isinstance(text, str) else None
    if spoken and isinstance(slots, list) and not slots:
        return tuple(spoken)
    if not isinstance(slots, (Mapping, list, tuple)) or not slots:
        return None
    pairs = list(slots.items()) if isinstance(slots, Mapping) else list(slots)
    if not all(isinstance(pair, (list, tuple)) and len(pair) in (2, 3) for pair in pairs):
        return None
    if not all(isinstance(part, str) and part.strip() for pair in pairs for part in pair[:2]):
        return None
    # A marker is found by its name up to the next space.
    named = [
        ("_".join(name.split()), " ".join(value.upper().split()), next(iter(place), None))
        for name, value, *place in pairs
    ]
    if spoken is None:
        values = [symbol for name, value, _ in named for symbol in (*_span(name, value), " ")]
        return tuple(values[:-1])
    return _in_text(spoken, named)


def _in_text(text: str, named: Sequence[tuple[str, str, Any]]) -> tuple[str, ...] | None:
    """Marks every value at its place, or where it first stands outside of other values."""
    padded = f" {text} "
    spans: list[tuple[int, int, str]] = []
    for name, value, place in named:
        start = padded.find(f" {value} ") if place is None else _start_of_word(padded, value, place)
        while start >= 0 and any(a < start + len(value) and start < b for a, b, _ in spans):
            start = padded.find(f" {value} ", start + 1) if place is None else -1
        if start < 0:
            return None
        spans.append((start, start + len(value), name))
    symbols: list[str] = []
    done = 0
    for start, end, name in sorted(spans):
        symbols += [*text[done:start], *_span(name, text[start:end])]
        done = end
    return (*symbols, *text[done:])


def _start_of_word(padded: str, value: str, word: Any) -> int:
    """The first character of a value that begins with word number `word`; -1 if it does not."""
    if type(word) is not int or word < 0:
        return -1
    start = len(" ".join(padded.split()[:word])) + (word > 0)
    return start if padded.startswith(f" {value} ", start) else -1


def _span(name: str, value: str) -> list[str]:
    return [f"B-{name} ", *value, f" E-{name}"]


SF = Task(
    name="sf",
    title="slot filling",
    label="slots",
    example='"text": "fly to rome", "slots": {"city": "rome"}',
    targets=marked_texts,
    kind="sequence",
    head="blstm",
    metrics=("slot_type_f1", "slot_value_cer"),
    published=Protocol(batch_size=32, n_steps=200_000, n_checks=100, d_hidden=1_024),
    proxy=Protocol(lrs=(3e-3,), batch_size=16, n_steps=600, n_checks=4, d_hidden=64),
    source="SUPERB, arXiv 2105.01051",
)
