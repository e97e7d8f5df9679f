"""Measured errors as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from earbit.quantize.propagation.error_sums import ErrorSums
from earbit.quantize.propagation.groups import Group, stack_of
from earbit.quantize.propagation.interaction import Comparison, compare, interaction_of
from earbit.quantize.propagation.measure import Errors, States
from earbit.quantize.propagation.subjects import Stack, pairs_of


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


def states_of(errors: Mapping[Group, States]) -> dict[str, States]:
    """Errors of hidden states: of every role, every pair of roles, and all roles in `layers`."""
    stack = stack_of(errors)
    shown = [group for group in errors if group.layer is None and len(group.roles) <= 2]
    states = {str(group): errors[group] for group in shown}
    return states | ({"layers": errors[stack]} if stack.roles else {})


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
        "states": _states_json(states_of(errors.groups) | {"all": errors.student}),
        "noise": _states_json(states_of(errors.noise)),
        "single": [
            {"role": group.roles[0], "layer": group.layer, "last_state": _state_json(states[-1])}
            for group, states in errors.groups.items()
            if group.layer is not None
        ],
        "interaction": dataclasses.asdict(interaction) if interaction else None,
    }


def _states_json(states: Mapping[str, States]) -> dict[str, list[dict[str, float]]]:
    return {name: [_state_json(one) for one in sums] for name, sums in states.items()}


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
