"""Measured errors as JSON and as text tables."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from earbit.nn.roles import label_of
from earbit.quantize.propagation.error_sums import ErrorSums
from earbit.quantize.propagation.groups import stack_of
from earbit.quantize.propagation.interaction import Comparison, compare, interaction_of
from earbit.quantize.propagation.measure import Errors, ModuleErrors, States
from earbit.quantize.propagation.subjects import Stack, pairs_of, why_not_compared
from earbit.text_table import aligned


@dataclass(frozen=True, slots=True)
class Measured:
    """A model and its errors."""

    stack: Stack
    errors: Errors


def comparisons_of(measured: Sequence[Measured]) -> list[Comparison]:
    """Every mixed encoder with every attention-only one of its depth, width and plan."""
    found = []
    for i, j in pairs_of([one.stack for one in measured]):
        mixed, plain = measured[i], measured[j]
        ours, theirs = interaction_of(mixed.errors), interaction_of(plain.errors)
        if ours and theirs:
            shape = mixed.stack.n_layers, mixed.stack.d_model
            found.append(compare(ours, theirs, (mixed.stack.name, plain.stack.name), shape))
    return found


def states_of(errors: Errors) -> dict[str, States]:
    """Errors of hidden states by what is quantized: roles, pairs of roles, `layers`, `all`."""
    shown = [group for group in errors.groups if group.layer is None and len(group.roles) <= 2]
    states = {str(group): errors.groups[group] for group in shown}
    stack = stack_of(errors.groups)
    if stack.roles:
        states["layers"] = errors.groups[stack]
    return states | {"all": errors.student}


def to_json(measured: Sequence[Measured], audio: Mapping[str, Any]) -> dict[str, Any]:
    """All figures as plain values; None where a figure is not finite (docs/errors.md)."""
    result = {
        **audio,
        "models": [_model_json(one.stack, one.errors) for one in measured],
        "comparisons": [dataclasses.asdict(one) for one in comparisons_of(measured)],
    }
    return {name: _finite(value) for name, value in result.items()}


def _model_json(stack: Stack, errors: Errors) -> dict[str, Any]:
    interaction = interaction_of(errors)
    return {
        **dataclasses.asdict(stack),
        "modules": [
            {
                "name": module.name,
                "role": module.role,
                "layer": module.layer,
                "precision": str(module.precision) if module.precision else None,
                "alone": _module_json(module.alone),
                "accumulated": _module_json(module.accumulated),
            }
            for module in errors.modules
        ],
        "states": {
            name: [_state_json(one) for one in states] for name, states in states_of(errors).items()
        },
        "single": [
            {"role": group.roles[0], "layer": group.layer, "last_state": _state_json(states[-1])}
            for group, states in errors.groups.items()
            if group.layer is not None
        ],
        "interaction": dataclasses.asdict(interaction) if interaction else None,
    }


def _module_json(sums: ErrorSums) -> dict[str, float]:
    return {
        "sqnr_db": sums.sqnr_db,
        "noise_to_signal": sums.noise_to_signal,
        "cosine": sums.cosine,
    }


def _state_json(sums: ErrorSums) -> dict[str, float]:
    return _module_json(sums) | {"correlation": sums.correlation, "log_error": sums.log_error}


def _finite(value: Any) -> Any:
    """The same with None for every number that JSON cannot express."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def render(measured: Sequence[Measured], audio: Mapping[str, Any]) -> str:
    """The tables of every model, and that of the comparisons."""
    clips = f"{audio['clips']} clip{'' if audio['clips'] == 1 else 's'}"
    lines = [
        f"{clips} of {audio['audio']}, {audio['seconds']:.1f} s; signal-to-quantization-noise "
        "ratios (SQNR) in dB, higher is better; docs/errors.md",
        "",
    ]
    for one in measured:
        stack = one.stack
        against = f"against {stack.teacher}" if stack.teacher else "calibrated on float activations"
        lines += [f"{stack.name}, {stack.plan}, {against}", ""]
        lines += [*aligned(_modules_table(one.errors)), ""]
        lines += [*aligned(_states_table(one.errors)), ""]
    comparisons = comparisons_of(measured)
    if comparisons:
        lines += aligned(_comparison_table(comparisons))
        if any(one.stack.is_random for one in measured):
            lines += ["random weights do not test the hypothesis; compare trained encoders"]
    unlike = why_not_compared([one.stack for one in measured])
    return "\n".join(lines + ([unlike] if unlike else [])).rstrip()


def families_of(errors: Errors) -> dict[str, list[ModuleErrors]]:
    """Modules whose names differ in the number of the layer alone, which is starred."""
    families: dict[str, list[ModuleErrors]] = {}
    for module in errors.modules:
        family = re.sub(r"\.\d+(?=\.|$)", ".*", module.name, count=1)
        families.setdefault(family, []).append(module)
    return families


def label(name: str) -> str:
    """A key of `states_of` in words."""
    return "all in layers" if name == "layers" else " + ".join(map(label_of, name.split("+")))


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


def _modules_table(errors: Errors) -> list[list[str]]:
    """One row for all modules of a family."""
    head = ["SQNR of modules", "precision", "alone: first", "last", "worst", "accumulated: first"]
    rows = [[*head, "last", "last cosine"]]
    for family, modules in families_of(errors).items():
        alone = [module.alone.sqnr_db for module in modules]
        accumulated = [module.accumulated.sqnr_db for module in modules]
        figures = alone[0], alone[-1], min(alone), accumulated[0], accumulated[-1]
        precisions = dict.fromkeys(str(module.precision or "") for module in modules)
        cosine = f"{modules[-1].accumulated.cosine:.4f}"
        rows.append([family, "/".join(precisions), *map(db, figures), cosine])
    return rows


def _states_table(errors: Errors) -> list[list[str]]:
    """Hidden states by what is quantized; interaction of roles with each other, or of one role."""
    found = interaction_of(errors)
    interactions = {**found.roles, **found.pairs, "layers": found.between} if found else {}
    rows = [
        ["SQNR of states; quantized:", "layer 0", "worst", "last", "together over sum, dB"]
        + ["noise", "net", "coherence", "noise", "net"]
    ]
    for name, states in states_of(errors).items():
        one = interactions.get(name)
        sqnr = [state.sqnr_db for state in states[1:]]
        figures = [signed(value) for value in dataclasses.astuple(one)] if one else [""] * 6
        rows.append([label(name), *map(db, (sqnr[0], min(sqnr), sqnr[-1])), *figures])
    if found:
        figures = [signed(value) for value in dataclasses.astuple(found.within)]
        rows.append(["within roles, between layers", "", "", "", *figures])
    return rows


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
