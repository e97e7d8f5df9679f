"""Errors of models as plain tables for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from earbit.quantize.propagation.interaction import Comparison, Interaction, interaction_of
from earbit.quantize.propagation.measure import ModuleErrors
from earbit.quantize.propagation.report import Measured, comparisons_of, family_of, rows_of
from earbit.quantize.propagation.stacks import why_not_compared
from earbit.text_table import aligned

MAX_COLUMNS = 13
"""States that a table shows; of more it shows some, the last one always."""
LEAST_COHERENCE = 0.1
"""Seeds of one trained encoder differ by as much; what is less speaks neither for nor against."""


def render(measured: Sequence[Measured], audio: Mapping[str, Any]) -> str:
    """Tables of every model, and the comparisons."""
    clips = f"{audio['clips']} clip{'' if audio['clips'] == 1 else 's'}"
    lines = [
        f"{clips} of {audio['audio']}, {audio['seconds']:.1f} s; signal over "
        "quantization noise in dB, more is better; layers count from 0; docs/errors.md",
        "",
    ]
    for one in measured:
        stack = one.stack
        against = f"against {stack.teacher}" if stack.teacher else "calibrated on float activations"
        lines += [f"{stack.name}, {stack.plan}, {against}", ""]
        lines += [*aligned(_states_table(one)), ""]
        lines += [*_most_sensitive(one), *aligned(_modules_table(one)), ""]
        interaction = interaction_of(one.errors)
        if interaction is not None:
            lines += [*aligned(_interaction_table(interaction)), ""]
    comparisons = comparisons_of(measured)
    if comparisons:
        is_random = any(one.stack.is_random for one in measured)
        lines += [*aligned(_excess_table(comparisons)), ""]
        lines += [*aligned(_coherence_table(comparisons, is_random=is_random))]
        lines += [_how_to_read(is_random=is_random)]
    unlike = why_not_compared([one.stack for one in measured])
    return "\n".join(lines + ([unlike] if unlike else [])).rstrip()


def _states_table(one: Measured) -> list[list[str]]:
    shown = _shown(one.stack.n_layers + 1)
    heads = ["input" if i == 0 else f"layer {i - 1}" for i in shown]
    rows = [["quantized; SQNR of states", *heads, "last cosine"]]
    for name, sums in rows_of(one.errors):
        figures = [db(sums[i].sqnr_db) for i in shown]
        rows.append([name, *figures, f"{sums[-1].cosine:.4f}"])
    return rows


def _most_sensitive(one: Measured) -> list[str]:
    """The kind in one layer that alone does most harm to the last state."""
    single = one.errors.single
    if not single:
        return []
    kind, layer = worst = min(single, key=lambda part: single[part].sqnr_db)
    return [
        f"most sensitive: {kind} of layer {layer}; with it alone quantized, "
        f"the last state has {db(single[worst].sqnr_db)} dB",
        "",
    ]


def _modules_table(one: Measured) -> list[list[str]]:
    """One row for all modules of one name: first, last and worst of the layers."""
    families: dict[str, list[ModuleErrors]] = {}
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
        cells = [*map(db, (alone[0], alone[-1], min(alone), through[0], through[-1]))]
        cosine = f"{modules[-1].accumulated.cosine:.4f}"
        rows.append([family, "/".join(precisions), *cells, cosine])
    return rows


def _interaction_table(found: Interaction) -> list[list[str]]:
    """Last state; the decibels of pairs of kinds are propagation, those of kinds are not."""
    like = found.coherence

    def coherence(*path: str) -> list[str]:
        values = [getattr(one, path[0]) for one in (like.found, like.independent, like.controlled)]
        return [signed(value[path[1]] if path[1:] else value) for value in values]

    rows = [
        ["together over the sum of parts alone, last state", "dB"]
        + ["coherence", "of noise", "beyond noise"]
    ]
    rows += [["between kinds", signed(found.between_db[-1]), *coherence("between")]]
    rows += [["  of it with independent noise", signed(found.independent_db[-1]), "", "", ""]]
    rows += [["  the rest is propagation", signed(found.propagation_db[-1]), "", "", ""]]
    rows += [
        [f"    {pair} alone", signed(db), *coherence("pairs", pair)]
        for pair, db in found.pairs_db.items()
    ]
    within = "within kinds, between their layers"
    rows += [[within, signed(found.within_db), *coherence("within")]]
    rows += [
        [f"  {kind}", signed(db), *coherence("within_kind", kind)]
        for kind, db in found.within_kind_db.items()
    ]
    return rows


def _excess_table(comparisons: Sequence[Comparison]) -> list[list[str]]:
    rows = [
        ["mixed over attention-only, dB", "layers x width", "more error", "= parts alone"]
        + ["+ within kinds", "+ between kinds", "propagation"]
    ]
    for one in comparisons:
        name, shape = f"{one.mixed} over {one.attention_only}", f"{one.n_layers} x {one.d_model}"
        figures = one.excess_db, one.parts_db, one.within_db, one.between_db, one.propagation_db
        rows.append([name, shape, *map(signed, figures)])
    return rows


def _coherence_table(comparisons: Sequence[Comparison], *, is_random: bool) -> list[list[str]]:
    rows = [
        ["coherence beyond independent noise", "between kinds: mixed", "attention-only"]
        + ["difference", "within kinds: mixed", "attention-only", "difference", "hypothesis"]
    ]
    for one in comparisons:
        sides = one.mixed_coherence.controlled, one.attention_only_coherence.controlled
        figures = (
            *(side.between for side in sides),
            one.coherence_between,
            *(side.within for side in sides),
            one.coherence_within,
        )
        verdict = "-" if is_random else verdict_of(one)
        rows.append([f"{one.mixed} over {one.attention_only}", *map(signed, figures), verdict])
    return rows


def verdict_of(one: Comparison) -> str:
    """What one pair of trained encoders says: `for`, `against`, or `-` for neither."""
    mixed = one.mixed_coherence.controlled
    if one.coherence_between is None or abs(one.coherence_between) < LEAST_COHERENCE:
        return "-"
    if one.coherence_between < 0:
        return "against"
    # Of the two, one is known where the difference is; a stack of one layer has nothing within.
    within = -math.inf if mixed.within is None else mixed.within
    return "for" if mixed.between is not None and mixed.between > within else "-"


def _how_to_read(*, is_random: bool) -> str:
    if is_random:
        return "random weights say nothing about the hypothesis; see docs/errors.md"
    return (
        f"for: the first difference is {LEAST_COHERENCE:g} or more, and in the mixed stack it is "
        f"more between kinds than within; against: -{LEAST_COHERENCE:g} or less; -: neither, for "
        "seeds differ by as much"
    )


def _shown(n_states: int) -> list[int]:
    if n_states <= MAX_COLUMNS:
        return list(range(n_states))
    step = (n_states - 1) / (MAX_COLUMNS - 1)
    return [round(i * step) for i in range(MAX_COLUMNS)]


def db(value: float) -> str:
    """One decimal, and a word for what is not finite."""
    if not math.isfinite(value):
        return "exact" if value > 0 else "no signal"
    text = f"{value:.1f}"
    return text if float(text) else "0.0"


def signed(value: float | None) -> str:
    """Two decimals and a sign, which zero has none of; `-` for what is unknown."""
    if value is None:
        return "-"
    text = f"{value:+.2f}"
    return text if float(text) else "0.00"
