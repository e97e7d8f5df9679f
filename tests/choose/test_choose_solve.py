"""The integer program against all choices of small tables."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from earbit.choose import solve
from earbit.choose.solve import (
    Budget,
    Candidates,
    best_choice,
    front_of,
    require_possible,
)
from earbit.errors import ConfigError

N_GROUPS, N_PRECISIONS = 5, 4
CHOICES = list(itertools.product(range(N_PRECISIONS), repeat=N_GROUPS))


def random_table(seed, holes=0.0):
    random = np.random.default_rng(seed)
    penalty, ms, mb = random.uniform(0.1, 1.0, (3, N_GROUPS, N_PRECISIONS))
    missing = random.random(ms.shape) < holes
    missing[:, 0] = False  # float has a program always
    ms[missing] = mb[missing] = penalty[missing] = np.inf
    return Candidates(penalty, ms, mb, rest_ms=0.5, rest_mb=0.25)


def by_hand(table, budget):
    """Least penalty of all choices within the budget."""
    penalties = [
        table.total_penalty(choice)
        for choice in CHOICES
        if all(
            limit is None or table.total(unit, choice) <= limit
            for unit, limit in (("ms", budget.ms), ("mb", budget.mb))
        )
    ]
    return min(penalties, default=np.inf)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("limits", [(3.0, None), (None, 2.5), (3.0, 3.0), (None, None)])
def test_the_choice_is_the_best_of_all_within_the_budget(seed, limits):
    table, budget = random_table(seed, holes=0.2), Budget(*limits)
    choice = best_choice(table, budget)
    best = by_hand(table, budget)
    if np.isinf(best):
        assert choice is None
        return
    assert table.total_penalty(choice) == pytest.approx(best, rel=1e-5)
    for unit in ("ms", "mb"):
        assert budget.of(unit) is None or table.total(unit, choice) <= budget.of(unit) + 1e-6


def test_a_small_penalty_is_the_least_beside_candidates_with_great_ones():
    table = random_table(79)
    penalty = 10 ** np.random.default_rng(79).uniform(-6, 1, table.penalty.shape)
    table = replace(table, penalty=penalty)
    budget = Budget(ms=1.5 * table.least("ms"))
    choice = best_choice(table, budget)
    assert table.total_penalty(choice) == pytest.approx(by_hand(table, budget), rel=1e-5)


def test_a_worse_choice_among_fewer_candidates_is_not_taken(monkeypatch):
    penalty = np.array([[0.1, 0.2, 1.0]])
    table = Candidates(penalty, np.ones((1, 3)), np.ones((1, 3)), 0.0, 0.0)
    found = iter([(1,), (0,), (1,)])  # each is of a solver that is not exact
    monkeypatch.setattr(solve, "_solved", lambda *_: next(found, None))
    assert best_choice(table, Budget()) == (0,)


def test_of_equally_good_choices_the_cheaper_one_is_taken():
    penalty = np.array([[0.0, 1.0, 1.0]])
    ms = np.array([[9.0, 3.0, 2.0]])
    table = Candidates(penalty, ms, ms[:, ::-1], 0.0, 0.0)
    assert best_choice(table, Budget(ms=4.0)) == (2,)


@pytest.mark.parametrize("unit", ["ms", "mb"])
@pytest.mark.parametrize("seed", range(3))
def test_no_choice_of_the_front_is_dominated_and_it_ends_at_both_extremes(seed, unit, capfd):
    table = random_table(seed)
    front = front_of(table, unit)
    assert capfd.readouterr() == ("", "")
    costs = [table.total(unit, choice) for choice in front]
    penalties = [table.total_penalty(choice) for choice in front]
    assert costs == sorted(costs)
    assert penalties == sorted(penalties, reverse=True)
    assert len(set(penalties)) == len(front) > 1
    assert costs[0] == pytest.approx(table.least(unit))
    assert penalties[-1] == pytest.approx(table.penalty.min(axis=1).sum())
    for choice, cost in zip(front, costs, strict=True):
        budget = Budget(**{unit: cost + 1e-9})
        assert table.total_penalty(choice) == pytest.approx(by_hand(table, budget), rel=1e-5)


@pytest.mark.parametrize("unit", ["ms", "mb"])
def test_an_impossible_budget_is_an_error_that_says_the_least_possible(unit):
    table = random_table(0)
    least = table.least(unit)
    with pytest.raises(ConfigError, match=f"--budget-{unit} 0.5: .* {least:.3g} "):
        require_possible(table, Budget(**{unit: 0.5}))
    require_possible(table, Budget(**{unit: least + 1e-6}))


def test_budgets_that_exclude_each_other_are_an_error_with_the_time_within_the_storage():
    # The fast candidate is large.
    ms, mb = np.array([[9.0, 1.0]]), np.array([[1.0, 9.0]])
    table = Candidates(np.zeros((1, 2)), ms, mb, 0.0, 0.0)
    with pytest.raises(ConfigError, match=r"within 2 MB the fastest plan takes 9 ms"):
        require_possible(table, Budget(ms=2.0, mb=2.0))
