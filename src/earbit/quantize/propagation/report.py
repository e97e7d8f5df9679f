"""JSON and text tables of measured errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple
from typing import Any

from earbit.nn.roles import label_of
from earbit.presets import PRESETS
from earbit.quantize.propagation.error_sums import ErrorSums
from earbit.quantize.propagation.groups import stack_of
from earbit.quantize.propagation.interaction import interaction_of, minus, over_db
from earbit.quantize.propagation.measure import Errors, States
from earbit.quantize.propagation.subjects import Subject, pairs_of
from earbit.text_table import aligned

MODULE_FIGURES = ("sqnr_db", "noise_to_signal")
STATE_FIGURES = (*MODULE_FIGURES, "correlation", "log_error")

Measured = tuple[Subject, Errors]


def comparisons_of(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Compares mixed with attention-only encoders of equal depth, width and plan.

    The error of the last state exceeds the error of the attention-only encoder by
    `excess_db = alone_db + within_db + between_db`.  The hypothesis predicts a
    `net_coherence_between` above 0.
    """
    found = []
    for i, j in pairs_of([subject for subject, _ in measured]):
        mixed, plain = (interaction_of(measured[place][1]) for place in (i, j))
        between, plain_between = mixed.between, plain.between
        within, plain_within = mixed.within, plain.within
        found.append(
            {
                "mixed": measured[i][0].name,
                "attention_only": measured[j][0].name,
                "excess_db": over_db(mixed.log_error, [plain.log_error]),
                "alone_db": over_db(mixed.alone, [plain.alone]),
                "within_db": minus(within.db, plain_within.db),
                "between_db": minus(between.db, plain_between.db),
                "net_between_db": minus(between.net_db, plain_between.net_db),
                "net_coherence_between": minus(between.net_coherence, plain_between.net_coherence),
                "net_coherence_within": minus(within.net_coherence, plain_within.net_coherence),
            }
        )
    return found


def states_of(errors: Errors) -> dict[str, States]:
    """Errors of hidden states by quantized group: roles, pairs of roles, `layers`, `all`."""
    shown = [group for group in errors.groups if group.layer is None and len(group.roles) <= 2]
    states = {str(group): errors.groups[group] for group in shown}
    stack = stack_of(errors.groups)
    if stack.roles:
        states["layers"] = errors.groups[stack]
    return states | {"all": errors.student}


def to_json(measured: Sequence[Measured], audio: Mapping[str, Any]) -> dict[str, Any]:
    """All metrics as plain values, None if not finite (docs/propagation.md)."""
    result = {
        **audio,
        "models": [_model_json(*one) for one in measured],
        "comparisons": comparisons_of(measured),
    }
    return {name: _finite(value) for name, value in result.items()}


def _model_json(subject: Subject, errors: Errors) -> dict[str, Any]:
    return {
        "name": subject.name,
        "plan": subject.plan,
        "teacher": subject.teacher_name,
        "n_layers": subject.shape[0],
        "d_model": subject.shape[1],
        "is_mixed": subject.is_mixed,
        "modules": [
            {
                "name": module.name,
                "role": module.role,
                "layer": module.layer,
                "precision": str(module.precision) if module.precision else None,
                "alone": _figures(module.alone, MODULE_FIGURES),
                "accumulated": _figures(module.accumulated, MODULE_FIGURES),
            }
            for module in errors.modules
        ],
        "states": {
            name: [_figures(one, STATE_FIGURES) for one in states]
            for name, states in states_of(errors).items()
        },
        "single": [
            {"role": group.roles[0], "layer": group.layer, **_figures(states[-1], STATE_FIGURES)}
            for group, states in errors.groups.items()
            if group.layer is not None
        ],
        "interaction": asdict(interaction_of(errors)),
    }


def _figures(sums: ErrorSums, names: Sequence[str]) -> dict[str, float]:
    return {name: getattr(sums, name) for name in names}


def _finite(value: Any) -> Any:
    """Replaces numbers that JSON cannot express by None."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def render(measured: Sequence[Measured], audio: Mapping[str, Any]) -> str:
    """Text tables of all models and of the comparisons."""
    lines = [
        f"clips: {audio['clips']} of {audio['audio']}, {audio['seconds']:.1f} s; SQNR: signal-to-"
        "quantization-noise ratio in dB, higher is better; docs/propagation.md",
        "",
    ]
    for subject, errors in measured:
        against = subject.teacher_name or "itself, calibrated on float activations"
        lines += [f"{subject.name}, {subject.plan}, against {against}", ""]
        lines += [*aligned(_table(errors)), ""]
    comparisons = comparisons_of(measured)
    if comparisons:
        lines += aligned(_comparison_table(comparisons))
        if any(subject.name in PRESETS for subject, _ in measured):
            lines += ["random weights do not test the hypothesis; compare trained encoders"]
    return "\n".join(lines).rstrip()


def label(name: str) -> str:
    """Label for a key of `states_of`."""
    return "all in layers" if name == "layers" else " + ".join(map(label_of, name.split("+")))


def _table(errors: Errors) -> list[list[str]]:
    """Table of hidden states by quantized group, with interactions between and within roles."""
    found = interaction_of(errors)
    interactions = {**found.roles, **found.pairs, "layers": found.between}
    rows = [
        ["SQNR of hidden states, dB; quantized:", "input", "layer 0", "last layer"]
        + ["together over sum, dB", "noise", "net", "coherence", "noise", "net"]
    ]
    for name, states in states_of(errors).items():
        sqnr = [f"{states[i].sqnr_db:z.1f}" for i in (0, 1, -1)]
        rows.append([label(name), *sqnr])
        rows[-1] += _signed(astuple(interactions[name])) if name in interactions else [""] * 6
    return [*rows, ["within roles, between layers", *[""] * 3, *_signed(astuple(found.within))]]


def _signed(values: Iterable[float | None]) -> list[str]:
    return ["-" if value is None else f"{value:+z.2f}" for value in values]


def _comparison_table(comparisons: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    rows = [
        ["mixed over attention-only", "more error, dB", "= alone", "+ within roles"]
        + ["+ between roles", "net between", "net coherence between roles", "within"]
    ]
    for one in comparisons:
        mixed, attention_only, *figures = one.values()
        rows.append([f"{mixed} over {attention_only}", *_signed(figures)])
    return rows
