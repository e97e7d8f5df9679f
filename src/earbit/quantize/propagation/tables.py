"""Measured errors as text tables."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from earbit.nn.roles import label_of
from earbit.quantize.propagation.interaction import Comparison, StackInteraction, interaction_of
from earbit.quantize.propagation.measure import Errors, ModuleErrors
from earbit.quantize.propagation.report import Measured, comparisons_of, states_of
from earbit.quantize.propagation.subjects import why_not_compared
from earbit.text_table import aligned

MAX_COLUMNS = 13
"""Hidden states that a table shows."""


def render(measured: Sequence[Measured], audio: Mapping[str, Any]) -> str:
    """The tables of every model, and of the comparisons."""
    clips = f"{audio['clips']} clip{'' if audio['clips'] == 1 else 's'}"
    lines = [
        f"{clips} of {audio['audio']}, {audio['seconds']:.1f} s. Signal-to-quantization-noise "
        "ratio (SQNR) in dB, higher is better. docs/errors.md",
        "",
    ]
    for one in measured:
        stack, interaction = one.stack, interaction_of(one.errors)
        against = f"against {stack.teacher}" if stack.teacher else "calibrated on float activations"
        lines += [f"{stack.name}, {stack.plan}, {against}", ""]
        lines += [*aligned(_states_table(one.errors)), "", *_most_sensitive(one.errors)]
        lines += [*aligned(_modules_table(one.errors)), ""]
        if interaction is not None:
            lines += [*aligned(_interaction_table(interaction)), ""]
    comparisons = comparisons_of(measured)
    if comparisons:
        lines += aligned(_comparison_table(comparisons))
        if any(one.stack.is_random for one in measured):
            lines += ["Random weights do not test the hypothesis; compare trained encoders."]
    unlike = why_not_compared([one.stack for one in measured])
    return "\n".join(lines + ([unlike] if unlike else [])).rstrip()


def family_of(name: str) -> str:
    """The name of a module with its layer number replaced by a star."""
    return re.sub(r"\.\d+(?=\.|$)", ".*", name, count=1)


def families_of(errors: Errors) -> dict[str, list[ModuleErrors]]:
    """Modules that differ in their layer alone, by `family_of`."""
    families: dict[str, list[ModuleErrors]] = {}
    for module in errors.modules:
        families.setdefault(family_of(module.name), []).append(module)
    return families


def label(group: str) -> str:
    """A key of `states_of` in words: `attention+feed_forward` is "attention + feed-forward"."""
    words = {"layers": "all in layers"}
    return words.get(group) or " + ".join(map(label_of, group.split("+")))


def db(value: float) -> str:
    """One decimal, or a word for what is not finite."""
    if not math.isfinite(value):
        return "exact" if value > 0 else "no signal"
    return f"{round(value, 1) + 0.0:.1f}"


def signed(value: float | None) -> str:
    """Two decimals with a sign, except for zero; `-` for None."""
    if value is None:
        return "-"
    rounded = round(value, 2)
    return f"{rounded:+.2f}" if rounded else "0.00"


def _states_table(errors: Errors) -> list[list[str]]:
    last = len(errors.student) - 1
    step = max(1, last / (MAX_COLUMNS - 1))
    shown = list(dict.fromkeys(round(min(i * step, last)) for i in range(MAX_COLUMNS)))
    heads = ["input" if i == 0 else f"layer {i - 1}" for i in shown]
    rows = [["quantized: SQNR of states", *heads, "last cosine"]]
    for name, sums in (states_of(errors.groups) | {"all": errors.student}).items():
        rows.append([label(name), *(db(sums[i].sqnr_db) for i in shown), f"{sums[-1].cosine:.4f}"])
    return rows


def _most_sensitive(errors: Errors) -> list[str]:
    """The role and layer that harm the last state most when quantized alone."""
    single = {
        group: states[-1].sqnr_db
        for group, states in errors.groups.items()
        if group.layer is not None
    }
    if not single:
        return []
    worst = min(single, key=lambda group: single[group])
    return [
        f"most sensitive: {label_of(worst.roles[0])} of layer {worst.layer}; the last state has "
        f"{db(single[worst])} dB if it alone is quantized",
        "",
    ]


def _modules_table(errors: Errors) -> list[list[str]]:
    """One row for all modules of a family."""
    head = ["module", "precision", "alone: first", "last", "worst", "accumulated: first", "last"]
    rows = [[*head, "last cosine"]]
    for family, modules in families_of(errors).items():
        alone = [module.alone.sqnr_db for module in modules]
        accumulated = [module.accumulated.sqnr_db for module in modules]
        figures = alone[0], alone[-1], min(alone), accumulated[0], accumulated[-1]
        precisions = dict.fromkeys(str(module.precision or "") for module in modules)
        cosine = f"{modules[-1].accumulated.cosine:.4f}"
        rows.append([family, "/".join(precisions), *map(db, figures), cosine])
    return rows


def _interaction_table(found: StackInteraction) -> list[list[str]]:
    rows = {
        "between roles": found.between,
        **{f"  {label(pair)}": one for pair, one in found.pairs.items()},
        "within roles, between layers": found.within,
        **{f"  {label_of(role)}": one for role, one in found.roles.items()},
    }
    head = ["together over the sum of errors alone", "dB", "noise", "net"]
    return [
        [*head, "coherence", "noise", "net"],
        *([name, *map(signed, dataclasses.astuple(one))] for name, one in rows.items()),
    ]


def _comparison_table(comparisons: Sequence[Comparison]) -> list[list[str]]:
    rows = [
        ["mixed over attention-only", "layers x width", "more error, dB", "= alone"]
        + ["+ within roles", "+ between roles", "net between"]
        + ["net coherence between roles", "within"]
    ]
    for one in comparisons:
        mixed, plain, n_layers, d_model, *figures = dataclasses.astuple(one)
        rows.append([f"{mixed} over {plain}", f"{n_layers} x {d_model}", *map(signed, figures)])
    return rows
