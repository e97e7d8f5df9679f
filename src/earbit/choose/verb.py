"""Command `earbit choose`: measures candidates, solves for a plan, builds and writes it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from earbit import __version__
from earbit.bench.verb import machine
from earbit.choose.arguments import (
    PRECISIONS,
    SECONDS,
    check_arguments,
    columns_of,
    evidence_path,
)
from earbit.choose.built import Built, Choice, build, chosen_within, reference_of
from earbit.choose.evidence import evidence_of, named_choices
from earbit.choose.groups import LeafGroup, groups_of, plan_of
from earbit.choose.inputs import Inputs, inputs_of_states, inputs_of_task, key_of
from earbit.choose.record import Record, record_of
from earbit.choose.sensitivity import measure_penalties
from earbit.choose.solve import NAMES, UNITS, Budget, Candidates, front_of, require_possible
from earbit.choose.table import render
from earbit.choose.times import Costs, measure_costs
from earbit.errors import ConfigError
from earbit.files import write_json
from earbit.folder_lock import only_process_in
from earbit.load import preset_or_model, refuse_quantized
from earbit.model import AudioModel
from earbit.nn.precision import FLOAT, Precision
from earbit.presets import PRESETS
from earbit.progress import say
from earbit.quantize.plan import Plan, plan_name

DEFAULT_NAME = "chosen"


def choose_plan(
    where: str,
    corpus: str,
    budget: Budget,
    *,
    task: str | None = None,
    head: Path | None = None,
    precisions: Sequence[str] = PRECISIONS,
    n_clips: int | None = None,
    seconds: float | None = None,
    out: Path | None = None,
    seed: int = 0,
) -> tuple[str, dict[str, Any]]:
    """Chooses the plan of a float model with the least penalty within a budget.

    where: a model or preset.  corpus: to calibrate and compare on, with the labels of `task` if one
    is given.  head: folder of `earbit superb` with a head of the model.  out: plan file; evidence
    and measurements are written beside it.  Returns a text table and the evidence.  Raises
    ConfigError for conflicting arguments and for a budget that no plan is within, or that the float
    model is within.
    """
    check_arguments(budget, task=task, head=head, n_clips=n_clips, seconds=seconds, out=out)
    columns = columns_of(precisions)
    teacher = preset_or_model(where, seed)
    refuse_quantized(where, teacher, "give the float model that it was made from")
    if where in PRESETS:
        say(f"{where}: random weights of seed {seed}; times are right, penalties mean little")
    with nullcontext() if out is None else only_process_in(out.parent):
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary) if out is None else out.parent
            inputs = (
                inputs_of_states(
                    teacher,
                    corpus,
                    n_clips=n_clips,
                    seconds=SECONDS if seconds is None else seconds,
                    seed=seed,
                )
                if task is None
                else inputs_of_task(
                    teacher,
                    where,
                    task,
                    corpus,
                    head,
                    place,
                    n_clips=n_clips,
                    seed=seed,
                )
            )
        key = key_of(teacher, inputs, __version__)
        record = record_of(None if out is None else out.parent, key)
        groups = groups_of(teacher)
        costs = _costs(record, teacher, groups, columns, seed)
        _require_useful(costs, budget, columns)
        table = _candidates(record, teacher, groups, columns, costs, inputs)
        require_possible(table, budget)
        name = DEFAULT_NAME if out is None else plan_name(str(out))

        def plan(choice: Choice) -> Plan:
            return plan_of(name, _precisions(groups, columns, choice))

        in_float = (columns.index(FLOAT),) * len(groups)
        with reference_of(teacher, table.total("ms", in_float)) as reference:
            audio, judge = inputs.calibration, inputs.judge

            def built(choice: Choice) -> Built:
                return build(teacher, plan(choice), audio, judge, reference, seed)

            choice, found = chosen_within(table, budget, built)
        unit = next(unit for unit in UNITS if budget.of(unit) is not None)
        evidence = evidence_of(
            table,
            groups,
            columns,
            choice,
            found,
            plan=plan,
            front=front_of(table, unit),
            named=named_choices(teacher, groups, columns),
            about={
                "earbit": __version__,
                "machine": machine(),
                "model": where,
                "corpus": corpus,
                "clips": inputs.n_compared,
                "calibration": {
                    "clips": len(inputs.calibration),
                    "on_compared_clips": inputs.is_shared,
                },
                "key": key,
                "budget": {"ms": budget.ms, "mb": budget.mb},
                "penalty": inputs.judge.title,
            },
        )
        text = render(evidence)
        if out is not None:
            beside = evidence_path(out)
            # Before the plan: a plan without evidence is not replaced.
            write_json(beside, evidence)
            write_json(out, plan(choice).as_file())
            text += f"\n{out} is the plan, {beside} the evidence"
    return text, evidence


def _costs(
    record: Record,
    teacher: AudioModel,
    groups: Sequence[LeafGroup],
    columns: Sequence[Precision],
    seed: int,
) -> Costs:
    here = machine()
    costs = record.costs_on(here, groups, columns)
    if costs is None:
        costs = measure_costs(teacher, groups, columns, seed)
        record.keep_costs(costs, here, groups, columns)
    return costs


def _require_useful(costs: Costs, budget: Budget, columns: Sequence[Precision]) -> None:
    """Raises ConfigError for an impossible budget, and one that the float model is within."""
    table = Candidates(np.zeros_like(costs.ms), costs.ms, costs.mb, costs.rest_ms, costs.rest_mb)
    require_possible(table, budget)
    in_float = (columns.index(FLOAT),) * len(costs.ms)
    totals = {unit: table.total(unit, in_float) for unit in UNITS}
    limits = {unit: limit for unit in UNITS if (limit := budget.of(unit)) is not None}
    if all(totals[unit] <= limit for unit, limit in limits.items()):
        has = " and ".join(f"{totals[unit]:.3g} {NAMES[unit]}" for unit in limits)
        given = " ".join(f"--budget-{unit} {limit:g}" for unit, limit in limits.items())
        raise ConfigError(f"{given}: the float model has {has}; give a smaller budget")


def _candidates(
    record: Record,
    teacher: AudioModel,
    groups: Sequence[LeafGroup],
    columns: Sequence[Precision],
    costs: Costs,
    inputs: Inputs,
) -> Candidates:
    """The table of candidates; those without a program have no penalty."""
    possible = np.isfinite(costs.ms)
    pairs = [
        (group, precision)
        for j, precision in enumerate(columns)
        for i, group in enumerate(groups)
        if possible[i, j] and not precision.is_float
    ]
    done = record.penalties
    measure_penalties(teacher, pairs, inputs.calibration, inputs.judge, done, record.save)
    penalty = np.where(possible, 0.0, np.inf)
    for group, precision in pairs:
        place = groups.index(group), columns.index(precision)
        penalty[place] = done[str(group)][str(precision)]
    return Candidates(penalty, costs.ms, costs.mb, costs.rest_ms, costs.rest_mb)


def _precisions(
    groups: Sequence[LeafGroup], columns: Sequence[Precision], choice: Choice
) -> dict[LeafGroup, Precision]:
    return {group: columns[i] for group, i in zip(groups, choice, strict=True)}
