"""Values with 95 % intervals: over seeds, and differences of two.

The interval of a score covers the choice of test clips.  With several seeds, the spread of the
seeds is added to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is known and lies on one side of zero."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def minus(self, other: Estimate) -> Estimate:
        """The difference, with the interval of two independent estimates.

        Source: MOVER, Zou and Donner, Statistics in Medicine 27 (2008).  Two models are scored on
        the same clips, so their errors agree in part and the true interval is narrower.
        """
        value = self.value - other.value
        n_seeds = min(self.n_seeds, other.n_seeds)
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return Estimate(value, n_seeds=n_seeds)
        below = math.hypot(self.value - self.low, other.high - other.value)
        above = math.hypot(self.high - self.value, other.value - other.low)
        return Estimate(value, value - below, value + above, n_seeds)

    def times(self, factor: float) -> Estimate:
        """The estimate in another unit; a negative factor swaps the ends of the interval."""
        if self.low is None or self.high is None:
            return Estimate(factor * self.value, n_seeds=self.n_seeds)
        ends = sorted((factor * self.low, factor * self.high))
        return Estimate(factor * self.value, ends[0], ends[1], self.n_seeds)


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
        return Estimate(mean, mean - spread, mean + spread, n) if n > 1 else Estimate(mean)
    below = math.fsum(value - low for value, (low, _) in pairs) / len(pairs)
    above = math.fsum(high - value for value, (_, high) in pairs) / len(pairs)
    return Estimate(mean, mean - math.hypot(below, spread), mean + math.hypot(above, spread), n)


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
