"""Errors of models as JSON for programs and as plain tables for people."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from earbit.quantize.propagation.interaction import (
    Comparison,
    Interaction,
    compare,
    interaction_of,
    is_mixed,
)
from earbit.quantize.propagation.measure import Errors
from earbit.quantize.propagation.parts import ALL, LAYERS, NOT_QUANTIZED
from earbit.quantize.propagation.sums import ErrorSums
from earbit.text_table import aligned

MAX_COLUMNS = 13
"""States that a table shows; of more it shows some, the last one always."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A model, and the errors that were found in it."""

    name: str
    plan: str
    teacher: str | None
    """The full-precision model of a trained one; None where scales come from data."""
    n_layers: int
    d_model: int
    errors: Errors


def comparisons_of(measured: Sequence[Measured]) -> list[Comparison]:
    """Every mixed stack against every attention-only one of its depth and width and plan."""
    found = []
    for mixed in measured:
        for other in measured:
            shape = (mixed.n_layers, mixed.d_model)
            if not is_mixed(mixed.errors) or is_mixed(other.errors) or mixed.plan != other.plan:
                continue
            ours, theirs = interaction_of(mixed.errors), interaction_of(other.errors)
            if shape == (other.n_layers, other.d_model) and ours and theirs:
                found.append(compare(ours, theirs, (mixed.name, other.name), shape))
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
        "name": one.name,
        "plan": one.plan,
        "teacher": one.teacher,
        "n_layers": one.n_layers,
        "d_model": one.d_model,
        "is_mixed": is_mixed(one.errors),
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


def render(measured: Sequence[Measured], audio: Mapping[str, Any]) -> str:
    """Tables of every model, and the comparisons."""
    lines = [
        f"{audio['clips']} clips of {audio['audio']}, {audio['seconds']:.1f} s; signal over "
        "quantization noise in dB, more is better; docs/errors.md",
        "",
    ]
    for one in measured:
        against = f"against {one.teacher}" if one.teacher else "calibrated on float activations"
        lines += [f"{one.name}, {one.plan}, {against}", ""]
        lines += [*aligned(_states_table(one)), "", *aligned(_modules_table(one)), ""]
        interaction = interaction_of(one.errors)
        if interaction is not None:
            lines += [*aligned(_interaction_table(interaction)), ""]
    comparisons = comparisons_of(measured)
    if comparisons:
        lines += [*aligned(_comparison_table(comparisons))]
        lines += [
            "coherence between kinds: above 0 speaks for the paper's hypothesis, below against it"
        ]
    elif len(measured) > 1:
        lines += [
            "no comparison of encoders: none of these is a mixed stack and another attention alone,"
            " of one depth, width and plan; --set encoder.n_layers=... makes presets alike"
        ]
    return "\n".join(lines).rstrip()


def _states_table(one: Measured) -> list[list[str]]:
    shown = _shown(one.n_layers + 1)
    heads = ["input" if i == 0 else f"layer {i - 1}" for i in shown]
    rows = [["quantized; SQNR of states", *heads, "last cosine"]]
    for name, sums in rows_of(one.errors):
        figures = [_db(sums[i].sqnr_db) for i in shown]
        rows.append([name, *figures, f"{sums[-1].cosine:.4f}"])
    return rows


def _modules_table(one: Measured) -> list[list[str]]:
    """One row for all modules of one name: first, last and worst of the layers."""
    families: dict[str, list[Any]] = {}
    for module in one.errors.modules:
        families.setdefault(family_of(module.name)[0], []).append(module)
    rows = [
        ["module", "precision", "alone: first", "last", "worst", "accumulated: first", "last"]
        + ["last cosine"]
    ]
    for family, modules in families.items():
        alone = [module.alone.sqnr_db for module in modules]
        through = [module.accumulated.sqnr_db for module in modules]
        precisions = list(dict.fromkeys(module.precision or "" for module in modules))
        cells = [*map(_db, (alone[0], alone[-1], min(alone), through[0], through[-1]))]
        cosine = f"{modules[-1].accumulated.cosine:.4f}"
        rows.append([family, "/".join(precisions), *cells, cosine])
    return rows


def _interaction_table(found: Interaction) -> list[list[str]]:
    """Last state; the decibels of pairs of kinds are propagation, those of kinds are not."""
    like = found.coherence
    rows = [["together over the sum of parts alone, last state", "dB", "coherence"]]
    rows += [["between kinds", _signed(found.between_db[-1]), _signed(like.between)]]
    rows += [["  of it with independent noise", _signed(found.independent_db[-1]), ""]]
    rows += [["  the rest is propagation", _signed(found.propagation_db[-1]), ""]]
    rows += [
        [f"    {pair} alone", _signed(db), _signed(like.pairs[pair])]
        for pair, db in found.pairs_db.items()
    ]
    rows += [["within kinds, between their layers", _signed(found.within_db), _signed(like.within)]]
    rows += [
        [f"  {kind}", _signed(db), _signed(like.within_kind[kind])]
        for kind, db in found.within_kind_db.items()
    ]
    return rows


def _comparison_table(comparisons: Sequence[Comparison]) -> list[list[str]]:
    rows = [
        ["mixed over attention-only, dB", "layers x width", "more error", "= parts alone"]
        + ["+ within kinds", "+ between kinds", "propagation", "coherence", "between kinds"]
    ]
    for one in comparisons:
        figures = (
            *(one.excess_db, one.parts_db, one.within_db, one.between_db, one.propagation_db),
            *(one.coherence, one.coherence_between),
        )
        shape = f"{one.n_layers} x {one.d_model}"
        rows.append([f"{one.mixed} over {one.attention_only}", shape, *map(_signed, figures)])
    return rows


def _shown(n_states: int) -> list[int]:
    if n_states <= MAX_COLUMNS:
        return list(range(n_states))
    step = (n_states - 1) / (MAX_COLUMNS - 1)
    return [round(i * step) for i in range(MAX_COLUMNS)]


def _db(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "exact" if value > 0 else "no signal"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
