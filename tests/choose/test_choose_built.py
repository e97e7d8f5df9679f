"""Choices whose measured costs differ from the estimates."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from earbit.bench.measure import MeasuredTime
from earbit.choose.built import MAX_ROUNDS, Built, chosen_within
from earbit.choose.solve import Budget, Candidates
from earbit.errors import ConfigError

TABLE = Candidates(
    penalty=np.tile([0.0, 1.0, 3.0], (6, 1)) * np.arange(1, 7)[:, None],
    ms=np.tile([10.0, 5.0, 1.0], (6, 1)),
    mb=np.tile([4.0, 2.0, 1.0], (6, 1)),
    rest_ms=1.0,
    rest_mb=0.5,
)


# What is fast is large.
OPPOSED = replace(TABLE, mb=TABLE.mb[:, ::-1])


def builder(ratio, calls, unit="ms", table=TABLE):
    """Builds whose measured cost is the estimate times a ratio."""

    def build(choice):
        calls.append(choice)
        costs = {"ms": table.total("ms", choice), "mb": table.total("mb", choice)}
        costs[unit] *= ratio
        time = MeasuredTime(median_ms=costs["ms"], p10_ms=0.0, p90_ms=0.0)
        return Built(time, costs["mb"], table.total_penalty(choice), {})

    return build


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.6])
def test_the_chosen_plan_keeps_the_budget_when_it_is_measured(ratio):
    calls = []
    choice, built = chosen_within(TABLE, Budget(ms=30.0), builder(ratio, calls))
    assert built.time.median_ms <= 30.0
    assert len(calls) <= MAX_ROUNDS
    best = min(
        TABLE.total_penalty(other)
        for other in itertools.product(range(3), repeat=6)
        if ratio * TABLE.total("ms", other) <= 30.0
    )
    # A group of the least penalty may be coarser than it could be.
    assert best <= TABLE.total_penalty(choice) <= best + 3.0


@pytest.mark.parametrize("table", [TABLE, OPPOSED], ids=["alike", "opposed"])
@pytest.mark.parametrize("unit", ["ms", "mb"])
@pytest.mark.parametrize("ratio", [0.7, 1.4])
def test_a_wrong_estimate_of_one_cost_leaves_the_limit_of_the_other(table, unit, ratio):
    calls = []
    budget = Budget(ms=40.0, mb=17.0)
    choice, built = chosen_within(table, budget, builder(ratio, calls, unit, table))
    assert built.is_within(budget)
    assert len(calls) <= MAX_ROUNDS
    ratios = {"ms": 1.0, "mb": 1.0, unit: ratio}
    best = min(
        table.total_penalty(other)
        for other in itertools.product(range(3), repeat=6)
        if all(ratios[u] * table.total(u, other) <= budget.of(u) for u in ("ms", "mb"))
    )
    assert best <= table.total_penalty(choice) <= best + 3.0


def test_the_last_resort_is_the_fastest_plan_within_the_storage():
    calls = []
    fits = min(
        OPPOSED.total("ms", choice)
        for choice in itertools.product(range(3), repeat=6)
        if OPPOSED.total("mb", choice) <= 12.0
    )
    budget = Budget(ms=3 * fits, mb=12.0)

    def build(choice):
        # Only the fastest plans of 12 MB fit; others are far slower than estimated.
        calls.append(choice)
        ms = OPPOSED.total("ms", choice)
        time = MeasuredTime(median_ms=3 * ms if ms <= fits else 30 * ms, p10_ms=0.0, p90_ms=0.0)
        return Built(time, OPPOSED.total("mb", choice), OPPOSED.total_penalty(choice), {})

    _, built = chosen_within(OPPOSED, budget, build)
    assert built.time.median_ms == 3 * fits
    assert built.mb <= 12.0


def test_a_right_estimate_is_built_once():
    calls = []
    choice, _ = chosen_within(TABLE, Budget(mb=12.5), builder(1.0, calls, "mb"))
    assert len(calls) == 1
    assert TABLE.total("mb", choice) == 12.5


def test_a_budget_below_every_measured_plan_is_an_error_with_the_least_cost():
    with pytest.raises(ConfigError, match=r"the cheapest plan has 70 ms when measured"):
        chosen_within(TABLE, Budget(ms=8.0), builder(10.0, []))
