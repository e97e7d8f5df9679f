"""Integer programs over a table of candidates: the best plan under a budget, and the front.

Letters: G groups, P precisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earbit.errors import ConfigError

Unit = Literal["ms", "mb"]
UNITS: tuple[Unit, ...] = ("ms", "mb")
NAMES: dict[Unit, str] = {"ms": "ms", "mb": "MB"}
N_FRONT = 40
"""Number of budgets of the front, in equal ratios between the least and the greatest cost."""
TIE = 1e-6
"""Share of the penalty by which the cheaper of two equally good plans is preferred."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Penalty and costs of every group (rows) in every precision (columns), each (G, P).

    A combination without a program has an infinite cost.
    """

    penalty: NDArray[np.float64]
    ms: NDArray[np.float64]
    """Milliseconds for 10 s of audio on one thread."""
    mb: NDArray[np.float64]
    """Megabytes (10^6 bytes) of packed tensors."""
    rest_ms: float
    """Time of ops outside of groups."""
    rest_mb: float

    def cost(self, unit: Unit) -> NDArray[np.float64]:
        """The table of a cost."""
        return self.ms if unit == "ms" else self.mb

    def rest(self, unit: Unit) -> float:
        """The cost outside of groups."""
        return self.rest_ms if unit == "ms" else self.rest_mb

    def total(self, unit: Unit, choice: Sequence[int]) -> float:
        """Cost of a choice of a precision for each group."""
        return float(self._sum(self.cost(unit), choice)) + self.rest(unit)

    def total_penalty(self, choice: Sequence[int]) -> float:
        """Sum of the penalties of a choice."""
        return float(self._sum(self.penalty, choice))

    def least(self, unit: Unit) -> float:
        """Cost of the cheapest choice."""
        return float(self.cost(unit).min(axis=1).sum()) + self.rest(unit)

    def _sum(self, table: NDArray[np.float64], choice: Sequence[int]) -> np.float64:
        total: np.float64 = table[np.arange(len(choice)), list(choice)].sum()
        return total


@dataclass(frozen=True, slots=True)
class Budget:
    """Upper limits of a plan; None where there is no limit."""

    ms: float | None = None
    mb: float | None = None

    def of(self, unit: Unit) -> float | None:
        """The limit in a unit."""
        return self.ms if unit == "ms" else self.mb

    def times(self, factors: Mapping[Unit, float]) -> Budget:
        """Limits multiplied by the factors of their units."""
        ms, mb = (
            None if (limit := self.of(unit)) is None else factors[unit] * limit for unit in UNITS
        )
        return Budget(ms, mb)


def best_choice(table: Candidates, budget: Budget) -> tuple[int, ...] | None:
    """The choice with the least penalty within the budget; None if there is none.

    Of equally good choices, it takes a cheaper one.
    """
    is_possible = np.isfinite(table.ms) & np.isfinite(table.mb) & np.isfinite(table.penalty)
    choice = _solved(table, budget, is_possible)
    while choice is not None:
        # The solver ignores a millionth of the sum of all penalties.  A better choice has no
        # candidate that alone is worse than this choice, so without these the sum is small.
        is_closer = is_possible & (table.penalty <= table.total_penalty(choice))
        if is_closer.sum() == is_possible.sum():
            break
        is_possible = is_closer
        closer = _solved(table, budget, is_possible)
        if closer is not None:
            choice = min(closer, choice, key=table.total_penalty)
    return choice


def _solved(
    table: Candidates, budget: Budget, is_possible: NDArray[np.bool_]
) -> tuple[int, ...] | None:
    """The best choice among the possible candidates (G, P), as exact as the solver is."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    n_groups, n_precisions = table.penalty.shape
    limited = [(unit, limit) for unit in UNITS if (limit := budget.of(unit)) is not None]
    # The unit of ties is the limited one, or time.
    tie = np.where(is_possible, table.cost(limited[0][0] if limited else "ms"), 0.0)
    penalty = np.where(is_possible, table.penalty, 0.0)
    goal = penalty / max(penalty.sum(), 1e-12) + TIE * tie / max(tie.sum(), 1e-12)
    one_each = np.kron(np.eye(n_groups), np.ones(n_precisions))
    limits = [LinearConstraint(one_each, 1, 1)]
    for unit, limit in limited:
        costs = np.where(is_possible, table.cost(unit), 0.0).ravel()
        limits.append(LinearConstraint(costs[None], -np.inf, limit - table.rest(unit)))
    found = milp(
        goal.ravel(),
        integrality=np.ones(goal.size),
        bounds=Bounds(0, is_possible.ravel().astype(float)),
        constraints=limits,
        # With presolve, HiGHS prints a line of its debugging for some tables.
        options={"mip_rel_gap": 0.0, "presolve": False},
    )
    if found.x is None:
        return None
    return tuple(int(i) for i in found.x.reshape(n_groups, n_precisions).argmax(axis=1))


def require_possible(table: Candidates, budget: Budget) -> None:
    """Raises ConfigError, with the least possible cost, for a budget that no choice is within."""
    for unit in UNITS:
        limit = budget.of(unit)
        if limit is not None and limit < table.least(unit):
            raise ConfigError(
                f"--budget-{unit} {limit:g}: {_least(unit, table.least(unit))} of these "
                "candidates; give a greater budget"
            )
    if best_choice(table, budget) is None:
        assert budget.mb is not None
        choice = fastest_within(table, budget.mb)
        assert choice is not None
        quick = table.total("ms", choice)
        raise ConfigError(
            f"--budget-ms {budget.ms:g} --budget-mb {budget.mb:g}: each is possible alone, but "
            f"within {budget.mb:g} MB the fastest plan takes {quick:.3g} ms; give a greater budget"
        )


def _least(unit: Unit, least: float) -> str:
    if unit == "ms":
        return f"the fastest plan takes {least:.3g} ms for 10 s of audio on one thread"
    return f"the smallest plan takes {least:.3g} MB"


def fastest_within(table: Candidates, mb: float) -> tuple[int, ...] | None:
    """The fastest choice within a storage; None if there is none."""
    as_penalty = Candidates(table.ms, table.ms, table.mb, table.rest_ms, table.rest_mb)
    return best_choice(as_penalty, Budget(mb=mb))


def front_of(table: Candidates, unit: Unit) -> list[tuple[int, ...]]:
    """Choices from the cheapest to the best, of which none is cheaper and as good as another."""
    best = best_choice(table, Budget())
    assert best is not None
    low, high = table.least(unit), max(table.total(unit, best), table.least(unit))
    # A little more than each cost, so that rounding does not exclude it.
    budgets = np.geomspace(max(low, 1e-9), max(high, 1e-9), N_FRONT) * (1 + 1e-9)
    found: list[tuple[int, ...]] = []
    for limit in budgets:
        limited = Budget(ms=float(limit)) if unit == "ms" else Budget(mb=float(limit))
        choice = best_choice(table, limited)
        if choice is None or choice in found:
            continue
        if not found or table.total_penalty(choice) < table.total_penalty(found[-1]):
            found.append(choice)
    return found
