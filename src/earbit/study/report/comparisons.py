"""Two rows of a study compared, task by task: scores, losses of quantization, cost and time.

Values of different metrics are never averaged.  Tasks are counted instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from earbit.heads.estimates import Estimate, needed_tasks
from earbit.study.report.numbers import change, counted, times
from earbit.study.report.rows import FLOAT, Score, Study, combined_scores, number

Row = tuple[str, str]
"""Encoder and plan."""

COSTS = {
    "storage_bytes": "storage",
    "flops": "FLOPs",
    "bops": "BOPs",
    "time_ms": "measured time",
}
"""Figures in which rows are compared, with their names."""


MIN_RUNS = 5
MEDIAN_OVER_RANGE = 1.96 * 1.2533 / 2.563
"""Half of a 95 % interval of a median, over the range p10 to p90 and the root of the runs, for
independent normal values."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Tasks by the outcome of a comparison."""

    better: tuple[str, ...]
    worse: tuple[str, ...]
    unclear: tuple[str, ...]
    """Tasks whose intervals do not separate the two, or are missing."""

    @property
    def n_tasks(self) -> int:
        """Number of compared tasks."""
        return len(self.better) + len(self.worse) + len(self.unclear)

    @property
    def verdict(self) -> bool | None:
        """Whether the first row is better over all tasks; None if the study cannot tell."""
        if not self.n_tasks:
            return None
        needed = needed_tasks(self.n_tasks)
        is_better, is_worse = len(self.better) >= needed, len(self.worse) >= needed
        return is_better if is_better != is_worse else None

    def __str__(self) -> str:
        """The counts, as in "clearly better in 3 of 10 tasks (ks, ic, er), clearly worse in 0"."""
        if not self.n_tasks:
            return "no task to compare"
        better, worse = (_named(tasks) for tasks in (self.better, self.worse))
        text = f"clearly better in {len(self.better)} of {counted(self.n_tasks, 'task')}{better}"
        return f"{text}, clearly worse in {len(self.worse)}{worse}"


def _named(tasks: Sequence[str]) -> str:
    return f" ({', '.join(tasks)})" if tasks else ""


def tally(gains: Iterable[tuple[str, Estimate | None]]) -> Tally:
    """Sorts tasks by the gain of the first row over the second; None leaves a task out."""
    better: list[str] = []
    worse: list[str] = []
    unclear: list[str] = []
    for task, gain in gains:
        if gain is None:
            continue
        group = unclear if not gain.excludes_zero else better if gain.value > 0 else worse
        group.append(task)
    return Tally(tuple(better), tuple(worse), tuple(unclear))


def gain_in(study: Study, row: Row, other: Row, task: str) -> Estimate | None:
    """How much better the first row scores on a task; None without both scores."""
    first, second = study.score(*row, task), study.score(*other, task)
    return None if first is None or second is None else first.gain_over(second)


def compared_scores(study: Study, row: Row, other: Row) -> Tally:
    """Tasks in which a row scores better and worse than another."""
    return tally((task, gain_in(study, row, other, task)) for task in study.tasks)


def relative_loss(study: Study, encoder: str, plan: str, task: str) -> Estimate | None:
    """Loss of score against fp32 of the same encoder, as a share of the score in fp32.

    None without both scores, and where fp32 is at chance or 0, so that nothing can be lost.
    """
    loss = _loss(study, encoder, plan, task)
    return combined_scores(loss) if loss else None


def _loss(study: Study, encoder: str, plan: str, task: str) -> list[tuple[float, Score]]:
    """The relative loss as a sum of scores times factors; empty without one."""
    full, low = study.score(encoder, FLOAT, task), study.score(encoder, plan, task)
    if full is None or low is None or full.is_at_chance or full.estimate.value == 0:
        return []
    factor = (1.0 if full.higher_is_better else -1.0) / abs(full.estimate.value)
    return [(factor, full), (-factor, low)]


def compared_losses(study: Study, encoder: str, other: str, plan: str) -> Tally:
    """Tasks in which an encoder loses a smaller and a larger share than another."""

    def gain(task: str) -> Estimate | None:
        first, second = (_loss(study, e, plan, task) for e in (encoder, other))
        if not first or not second:
            return None
        return combined_scores([*second, *((-factor, score) for factor, score in first)])

    return tally((task, gain(task)) for task in study.tasks)


@dataclass(frozen=True, slots=True)
class Ratios:
    """Cost of a row over that of another."""

    of: dict[str, float] = field(default_factory=dict)
    unclear: tuple[str, ...] = ()
    """Figures whose difference their spread covers."""
    missing: tuple[str, ...] = ()
    """Figures that one of the rows lacks."""

    def all_below(self, limit: float) -> bool | None:
        """Whether every ratio is below a limit; None if an unclear or missing one may not be."""
        clear = [ratio for name, ratio in self.of.items() if name not in self.unclear]
        if any(ratio >= limit for ratio in clear):
            return False
        return None if self.unclear or self.missing or not clear else True

    def all_above(self, limit: float) -> bool | None:
        """Whether every ratio is above a limit; None if an unclear or missing one may not be."""
        inverse = {name: 1 / ratio for name, ratio in self.of.items() if ratio}
        return Ratios(inverse, self.unclear, self.missing).all_below(1 / limit)

    def __str__(self) -> str:
        """The changes, as in "storage -31.0 %, measured time -4.0 % (within its spread)"."""
        if not self.of:
            return "no cost to compare"
        known = [
            f"{COSTS[name]} {change(ratio)}"
            + (" (within its spread)" if name in self.unclear else "")
            for name, ratio in self.of.items()
        ]
        return ", ".join([*known, *(f"{COSTS[name]} unknown" for name in self.missing)])


def cost_ratios(study: Study, row: Row, other: Row, names: Iterable[str] = COSTS) -> Ratios:
    """Cost of a row over that of another; measured times are unclear if their spreads overlap."""
    found, unclear, missing = {}, [], []
    for name in names:
        first, second = study.figure(name, *row), study.figure(name, *other)
        if first is None or not second:
            missing.append(name)
            continue
        found[name] = first / second
        if name == "time_ms" and _overlap(study, row, other):
            unclear.append(name)
    return Ratios(found, tuple(unclear), tuple(missing))


def _overlap(study: Study, row: Row, other: Row) -> bool:
    """Whether the intervals of two measured medians share a point.

    Without the number of runs, the ranges from p10 to p90 stand for them.
    """
    ranges = []
    for one in (row, other):
        time = study.time(*one)
        low, high = number(time, "p10_ms"), number(time, "p90_ms")
        median, n_runs = number(time, "median_ms"), number(time, "n_runs")
        if low is None or high is None:
            return False
        if median is not None and n_runs is not None and n_runs >= MIN_RUNS:
            half = MEDIAN_OVER_RANGE * (high - low) / math.sqrt(n_runs)
            low, high = median - half, median + half
        ranges.append((low, high))
    (low, high), (other_low, other_high) = ranges
    return low <= other_high and other_low <= high


def faster(ratio: float) -> str:
    """A speed-up as text."""
    return f"{times(ratio)} faster" if ratio >= 1 else f"{times(1 / ratio)} slower"
