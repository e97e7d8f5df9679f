"""Values with 95 % intervals: over seeds, and differences of two.

The interval of a score covers the choice of test clips.  With several seeds, the spread of the
seeds is added to it.  Scores on the same clips have correlated errors, those of seeds are
independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
_T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Quantiles of Student's t for 1 to 10 degrees of freedom; 1.96 is the limit."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its 95 % interval, None without one."""

    value: float
    low: float | None = None
    high: float | None = None
    n_seeds: int = 1
    spread: float = 0.0
    """Part of both half widths that is due to seeds."""

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is known and lies on one side of zero."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def minus(self, other: Estimate) -> Estimate:
        """The difference of two independent estimates."""
        return combined([(1.0, self), (-1.0, other)])

    def times(self, factor: float) -> Estimate:
        """The estimate in another unit; a negative factor swaps the ends of the interval."""
        spread = abs(factor) * self.spread
        if self.low is None or self.high is None:
            return Estimate(factor * self.value, n_seeds=self.n_seeds)
        ends = sorted((factor * self.low, factor * self.high))
        return Estimate(factor * self.value, ends[0], ends[1], self.n_seeds, spread)


def _independent(_i: int, _j: int) -> float:
    return 0.0


def combined(
    terms: Sequence[tuple[float, Estimate]],
    correlation: Callable[[int, int], float] = _independent,
) -> Estimate:
    """The sum of estimates times factors.

    correlation: of the errors of two terms by the choice of test clips.  Without the interval of a
    term there is none of the sum.  Source: MOVER, Zou and Donner, Statistics in Medicine 27 (2008),
    for correlated estimates G. Y. Zou, Psychological Methods 12 (2007).
    """
    value = math.fsum(factor * one.value for factor, one in terms)
    n_seeds = min(one.n_seeds for _, one in terms)
    below: list[float] = []  # errors of the terms by the choice of clips, times their factors
    above: list[float] = []
    for factor, one in terms:
        if one.low is None or one.high is None:
            return Estimate(value, n_seeds=n_seeds)
        low, high = (_without(end - one.value, one.spread) for end in (one.low, one.high))
        below.append(factor * (low if factor > 0 else high))
        above.append(factor * (high if factor > 0 else low))
    spread = math.hypot(*(factor * one.spread for factor, one in terms))
    down, up = (math.hypot(_width(errors, correlation), spread) for errors in (below, above))
    return Estimate(value, value - down, value + up, n_seeds, spread)


def _without(width: float, spread: float) -> float:
    """The part of a half width that is not the spread of seeds."""
    return math.sqrt(max(0.0, width**2 - spread**2))


def _width(errors: Sequence[float], correlation: Callable[[int, int], float]) -> float:
    """The half width of a sum of errors."""
    n = range(len(errors))
    square = math.fsum(
        errors[i] * errors[j] * (1.0 if i == j else correlation(i, j)) for i in n for j in n
    )
    return math.sqrt(max(0.0, square))


def over_seeds(
    values: Sequence[float], intervals: Sequence[tuple[float, float] | None]
) -> Estimate:
    """The mean over seeds.

    Half widths of intervals are averaged, because all seeds share the test clips, and combined with
    the half width of the mean over seeds as for independent errors.  Without any interval, several
    seeds give that of the mean.
    """
    n = len(values)
    mean = math.fsum(values) / n
    spread = 0.0
    if n > 1:
        variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
        t = _T_975[n - 2] if n - 2 < len(_T_975) else 1.96
        spread = t * math.sqrt(variance / n)
    pairs = [(v, i) for v, i in zip(values, intervals, strict=True) if i is not None]
    if not pairs:
        return Estimate(mean, mean - spread, mean + spread, n, spread) if n > 1 else Estimate(mean)
    below = math.fsum(value - low for value, (low, _) in pairs) / len(pairs)
    above = math.fsum(high - value for value, (_, high) in pairs) / len(pairs)
    below, above = math.hypot(below, spread), math.hypot(above, spread)
    return Estimate(mean, mean - below, mean + above, n, spread)


def needed_tasks(n_tasks: int) -> int:
    """How many of `n_tasks` must clearly differ in one direction for a result over all tasks.

    Without a difference, a 95 % interval lies above zero with probability 0.025.  So many tasks or
    more do so with a probability below 0.05, if tasks are independent.
    """
    p = (1 - CONFIDENCE) / 2
    tail, needed = 1.0, 0
    while tail >= 1 - CONFIDENCE:
        tail -= math.comb(n_tasks, needed) * p**needed * (1 - p) ** (n_tasks - needed)
        needed += 1
    return needed
