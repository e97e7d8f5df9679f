"""The evidence of a choice as JSON values: candidates, front, named plans, the built plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from earbit.choose.built import Built, Choice
from earbit.choose.groups import LeafGroup
from earbit.choose.solve import UNITS, Candidates
from earbit.model import AudioModel
from earbit.nn.leaves import leaves_of
from earbit.nn.precision import Precision
from earbit.quantize.plan import PLANS, Plan

SCHEMA = 1


def named_choices(
    model: AudioModel, groups: Sequence[LeafGroup], columns: Sequence[Precision]
) -> dict[str, Choice]:
    """Named plans of the given precisions as choices, each once."""
    leaves = leaves_of(model)
    with_weight = {leaf.name for leaf in leaves if leaf.has_weight}
    found: dict[str, Choice] = {}
    for name, plan in PLANS.items():
        precisions = plan.precisions(leaves)
        # An activation product follows from the precision of its group.
        of_group = [{precisions[leaf] for leaf in g.leaves if leaf in with_weight} for g in groups]
        if all(len(its) == 1 and its <= set(columns) for its in of_group):
            choice = tuple(columns.index(next(iter(its))) for its in of_group)
            # Plans for another front end are equal on this one.
            if choice not in found.values():
                found[name] = choice
    return found


def evidence_of(
    table: Candidates,
    groups: Sequence[LeafGroup],
    columns: Sequence[Precision],
    choice: Choice,
    built: Built,
    *,
    plan: Callable[[Choice], Plan],
    front: Sequence[Choice],
    named: Mapping[str, Choice],
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """All figures of a choice, with infinite costs left out."""

    def estimated(of: Choice) -> dict[str, float]:
        costs: dict[str, float] = {unit: table.total(unit, of) for unit in UNITS}
        return {**costs, "penalty": table.total_penalty(of)}

    chosen = {
        "rules": plan(choice).as_file(),
        "estimated": estimated(choice),
        "measured": {
            "ms": built.time.median_ms,
            "p10_ms": built.time.p10_ms,
            "p90_ms": built.time.p90_ms,
            "mb": built.mb,
            "penalty": built.penalty,
            "agreement": built.agreement,
        },
    }
    return {
        "schema": SCHEMA,
        **about,
        "chosen": chosen,
        "front": [{**estimated(one), "rules": plan(one).as_file()} for one in front],
        "named": [
            {"plan": name, **estimated(one)}
            for name, one in named.items()
            if all(np.isfinite(value) for value in estimated(one).values())
        ],
        "rest": {"ms": table.rest_ms, "mb": table.rest_mb},
        "groups": [_group(table, groups, columns, choice, i) for i in range(len(groups))],
    }


def _group(
    table: Candidates,
    groups: Sequence[LeafGroup],
    columns: Sequence[Precision],
    choice: Choice,
    i: int,
) -> dict[str, Any]:
    candidates = {
        str(precision): {
            "penalty": float(table.penalty[i, j]),
            "ms": float(table.ms[i, j]),
            "mb": float(table.mb[i, j]),
        }
        for j, precision in enumerate(columns)
        if np.isfinite(table.ms[i, j])
    }
    return {
        "group": str(groups[i]),
        "leaves": list(groups[i].leaves),
        "chosen": str(columns[choice[i]]),
        "candidates": candidates,
    }
