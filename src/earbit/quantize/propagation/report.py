"""Errors of models as JSON for programs."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from earbit.quantize.propagation.interaction import (
    Comparison,
    compare,
    interaction_of,
)
from earbit.quantize.propagation.measure import Errors
from earbit.quantize.propagation.parts import ALL, LAYERS, NOT_QUANTIZED
from earbit.quantize.propagation.stacks import Stack, pairs_of
from earbit.quantize.propagation.sums import ErrorSums


@dataclass(frozen=True, slots=True)
class Measured:
    """A model, and the errors that were found in it."""

    stack: Stack
    errors: Errors


def comparisons_of(measured: Sequence[Measured]) -> list[Comparison]:
    """Every mixed stack against every attention-only one of its depth and width and plan."""
    found = []
    for i, j in pairs_of([one.stack for one in measured]):
        mixed, plain = measured[i], measured[j]
        ours, theirs = interaction_of(mixed.errors), interaction_of(plain.errors)
        if ours and theirs:
            names = mixed.stack.name, plain.stack.name
            found.append(compare(ours, theirs, names, (mixed.stack.n_layers, mixed.stack.d_model)))
    return found


def to_json(measured: Sequence[Measured], audio: Mapping[str, Any]) -> dict[str, Any]:
    """The figures as plain values; None stands for what is not finite (docs/errors.md)."""
    return {
        **audio,
        "models": [_model_json(one) for one in measured],
        "comparisons": [dataclasses.asdict(one) for one in comparisons_of(measured)],
    }


def _model_json(one: Measured) -> dict[str, Any]:
    interaction = interaction_of(one.errors)
    return {
        "name": one.stack.name,
        "plan": one.stack.plan,
        "teacher": one.stack.teacher,
        "n_layers": one.stack.n_layers,
        "d_model": one.stack.d_model,
        "is_mixed": one.stack.is_mixed,
        "is_random": one.stack.is_random,
        "modules": [
            {
                "name": module.name,
                "level": module.level,
                "kind": module.kind,
                "layer": module.layer,
                "precision": module.precision,
                "alone": _sums_json(module.alone),
                "accumulated": _sums_json(module.accumulated),
            }
            for module in one.errors.modules
        ],
        "states": {part: [_state_json(s) for s in sums] for part, sums in rows_of(one.errors)},
        "independent": {
            part: [_state_json(s) for s in sums] for part, sums in one.errors.independent.items()
        },
        "single": [
            {"kind": kind, "layer": layer, "last_state": _state_json(sums)}
            for (kind, layer), sums in one.errors.single.items()
        ],
        "interaction": None if interaction is None else _finite(dataclasses.asdict(interaction)),
    }


def _sums_json(sums: ErrorSums) -> dict[str, float | None]:
    figures = {
        "sqnr_db": sums.sqnr_db,
        "noise_to_signal": sums.noise_to_signal,
        "cosine": sums.cosine,
    }
    return _finite(figures)


def _state_json(sums: ErrorSums) -> dict[str, float | None]:
    figures = {"correlation": sums.correlation, "log_error": sums.log_error}
    return _sums_json(sums) | _finite(figures)


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figures.items()
    }


def rows_of(errors: Errors) -> list[tuple[str, list[ErrorSums]]]:
    """What was quantized and the errors of all states: kinds, pairs, all in layers, all."""
    last = (LAYERS, NOT_QUANTIZED, ALL)
    order = [*(name for name in errors.states if name not in last), *last]
    return [(name, errors.states[name]) for name in order if name in errors.states]


def family_of(name: str) -> tuple[str, int]:
    """The name of a module with its index starred, and the index; 0 where it has none."""
    found = re.search(r"(?<=\.)\d+(?![^.])", name)
    if found is None:
        return name, 0
    return f"{name[: found.start()]}*{name[found.end() :]}", int(found[0])
