"""Choices whose measured costs differ from the estimates."""

import itertools

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


def builder(ratio, calls, unit="ms"):
    """Builds whose measured cost is the estimate times a ratio."""

    def build(choice):
        calls.append(choice)
        costs = {"ms": TABLE.total("ms", choice), "mb": TABLE.total("mb", choice)}
        costs[unit] *= ratio
        time = MeasuredTime(median_ms=costs["ms"], p10_ms=0.0, p90_ms=0.0)
        return Built(time, costs["mb"], TABLE.total_penalty(choice), {})

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


def test_a_right_estimate_is_built_once():
    calls = []
    choice, _ = chosen_within(TABLE, Budget(mb=12.5), builder(1.0, calls, "mb"))
    assert len(calls) == 1
    assert TABLE.total("mb", choice) == 12.5


def test_a_budget_below_every_measured_plan_is_an_error_with_the_least_cost():
    with pytest.raises(ConfigError, match=r"the cheapest plan has 70 ms when measured"):
        chosen_within(TABLE, Budget(ms=8.0), builder(10.0, []))
