"""The tables of results.json by encoder, plan and task.

A record that is missing or incomplete gives None, because its step failed or was not asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from earbit.heads.estimates import Estimate, combined, over_seeds
from earbit.presets import PRESETS
from earbit.superb.tasks import TASKS

Record = Mapping[str, Any]
FLOAT = "fp32"
ONE_BIT = ("w1a1", "w1a1-encoder")
"""Plans in which all that is quantized has weights and activations of 1 bit."""
UNTRAINED = "random weights"
FILTERBANK = "fbank"
NO_PLAN = "-"
_OF_ROWS = ("cost", "times", "scores", "export")
"""Tables of rows.  The table of trainings also has plans that only lead to another one."""
OURS = "earbit"
"""The engine of the runtime in the table of times."""


def below(record: Record | None, *keys: str) -> Any:
    """The value below a path of keys; None without one."""
    value: Any = record
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def number(record: Record | None, *keys: str) -> float | None:
    """The finite number below a path of keys; None without one."""
    value = below(record, *keys)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Score:
    """Score of a row on a task, over all seeds."""

    row: tuple[str, str]
    """Encoder and plan."""
    task: str
    metric: str
    higher_is_better: bool
    estimate: Estimate
    chance: float | None
    packed: float | None
    n_test: int | None
    correlations: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Correlations with the errors of all rows of the study on these test clips."""

    def gain_over(self, other: Score) -> Estimate:
        """How much better than `other` this score is, above 0 for better."""
        sign = 1.0 if self.higher_is_better else -1.0
        return combined_scores([(sign, self), (-sign, other)])

    @property
    def is_at_chance(self) -> bool:
        """Whether the score is not clearly better than chance; False without a known chance."""
        if self.chance is None:
            return False
        gain = self.estimate.minus(Estimate(self.chance, self.chance, self.chance))
        gain = gain if self.higher_is_better else gain.times(-1)
        return gain.value <= 0 or (gain.low is not None and gain.low <= 0)


def combined_scores(terms: Sequence[tuple[float, Score]]) -> Estimate:
    """The sum of scores of one task times factors; rows of one study have correlated errors."""

    def correlation(i: int, j: int) -> float:
        return terms[i][1].correlations.get(terms[j][1].row, 0.0)

    return combined([(factor, score.estimate) for factor, score in terms], correlation)


@dataclass(frozen=True)
class Study:
    """The results of one study."""

    results: Mapping[str, Any]

    def table(self, name: str) -> list[Record]:
        """Records of a table; empty if it is missing."""
        records = self.results.get(name)
        if not isinstance(records, Sequence) or isinstance(records, str):
            return []
        return [record for record in records if isinstance(record, Mapping)]

    def part(self, name: str) -> Record:
        """Returns an object of the results by name, for example `settings`; empty if missing."""
        part = self.results.get(name)
        return part if isinstance(part, Mapping) else {}

    @cached_property
    def encoders(self) -> list[str]:
        """Encoders in the order of the settings, then as found in the tables."""
        return self._named("encoders", "encoder", {FILTERBANK})

    @cached_property
    def plans(self) -> list[str]:
        """Plans in the order of the settings, without baselines."""
        return self._named("plans", "plan", {UNTRAINED, NO_PLAN})

    def _named(self, setting: str, key: str, baselines: set[str]) -> list[str]:
        named = list(self.part("settings").get(setting) or [])
        for table in _OF_ROWS:
            named += [record[key] for record in self.table(table) if record.get(key)]
        return [name for name in dict.fromkeys(named) if name not in baselines]

    @cached_property
    def rows(self) -> list[tuple[str, str]]:
        """Pairs of encoder and plan with any result, by encoder."""
        found = {(r.get("encoder"), r.get("plan")) for t in _OF_ROWS for r in self.table(t)}
        pairs = ((encoder, plan) for encoder in self.encoders for plan in self.plans)
        return [pair for pair in pairs if pair in found]

    @cached_property
    def one_bit_plan(self) -> str | None:
        """The plan that decides claims; None in a study without one of 1 bit."""
        return next((plan for plan in ONE_BIT if plan in self.plans), None)

    @cached_property
    def low_plan(self) -> str | None:
        """The plan of charts and of sentences that name it: of 1 bit, or the last one."""
        quantized = [plan for plan in self.plans if plan != FLOAT]
        return self.one_bit_plan or (quantized[-1] if quantized else None)

    def kind_of(self, encoder: str) -> str | None:
        """Returns the type of an encoder, for example `sparseformer`; None if it is unknown."""
        kind = below(self._shape(encoder), "type")
        return None if kind is None else str(kind)

    def n_layers_of(self, encoder: str) -> int:
        """Layers of an encoder; 0 if the study does not know them."""
        return int(number(self._shape(encoder), "n_layers") or 0)

    def _shape(self, encoder: str) -> Any:
        """Returns type and layers of an encoder; earlier versions recorded them for files only."""
        settings = self.part("settings")
        return (
            below(settings, "shapes", encoder)
            or below(settings, "scale_settings", "shapes", encoder, "encoder")
            or below(PRESETS, encoder, "encoder")
        )

    @cached_property
    def tasks(self) -> list[str]:
        """Tasks with scores, in the order of SUPERB."""
        found = dict.fromkeys(task for _, _, task in self._scores)
        return [t for t in TASKS if t in found] + [t for t in found if t not in TASKS]

    @cached_property
    def seeds(self) -> list[int]:
        """Seeds of all trainings and scores."""
        found = {r.get("seed") for t in ("training", "scores") for r in self.table(t)}
        return sorted(seed for seed in found if isinstance(seed, int))

    @cached_property
    def _scores(self) -> dict[tuple[str, str, str], Score]:
        by_row: dict[tuple[str, str, str], list[Record]] = {}
        for record in self.table("scores"):
            if number(record, "value") is not None and record.get("task"):
                key = (str(record.get("encoder")), str(record.get("plan")), str(record["task"]))
                by_row.setdefault(key, []).append(record)
        found = self._correlations()
        return {
            (encoder, plan, task): _over_seeds(
                (encoder, plan), task, records, found.get((encoder, plan, task), {})
            )
            for (encoder, plan, task), records in by_row.items()
        }

    def _correlations(self) -> dict[tuple[str, str, str], dict[tuple[str, str], float]]:
        """Correlations between the errors of the rows of a task, by score."""
        found: dict[tuple[str, str, str], dict[tuple[str, str], float]] = {}
        for record in self.table("correlations"):
            named = [row for row in record.get("rows") or () if isinstance(row, Mapping)]
            rows = [(str(row.get("encoder")), str(row.get("plan"))) for row in named]
            for row, values in zip(rows, record.get("values") or (), strict=False):
                pairs = zip(rows, values if isinstance(values, list) else (), strict=False)
                found[*row, str(record.get("task"))] = {
                    other: float(r) for other, r in pairs if isinstance(r, int | float)
                }
        return found

    def score(self, encoder: str | None, plan: str | None, task: str) -> Score | None:
        """Score of a row, or of a baseline, on a task."""
        return self._scores.get((str(encoder), str(plan), task))

    def cost(self, encoder: str | None, plan: str | None) -> Record | None:
        """Record of the cost profile."""
        return next(self._of("cost", encoder, plan), None)

    def time(self, encoder: str | None, plan: str | None, engine: str = OURS) -> Record | None:
        """Record of measured times."""
        times = (r for r in self._of("times", encoder, plan) if r.get("engine") == engine)
        return next(times, None)

    def _of(self, table: str, encoder: str | None, plan: str | None) -> Iterator[Record]:
        for record in self.table(table):
            if record.get("encoder") == encoder and record.get("plan") == plan:
                yield record

    def figure(self, name: str, encoder: str | None, plan: str | None) -> float | None:
        """A figure of a row: `time_ms`, `estimate_ms` (A100), `file_bytes`, or one of its cost."""
        if name == "time_ms":
            return number(self.time(encoder, plan), "median_ms")
        if name == "estimate_ms":
            return number(self.cost(encoder, plan), name, "a100-fp32")
        if name == "storage_fp16_bits":
            return number(self.cost(encoder, plan), "storage_bits", "fp16")
        if name == "file_bytes":
            return number(next(self._of("export", encoder, plan), None), "bytes")
        return number(self.cost(encoder, plan), name)


def _over_seeds(
    row: tuple[str, str],
    task: str,
    records: Sequence[Record],
    correlations: Mapping[tuple[str, str], float],
) -> Score:
    first = records[0]
    packed = [value for r in records if (value := number(r, "packed_value")) is not None]
    n_test = number(first, "n_test")
    return Score(
        row=row,
        task=task,
        metric=str(first.get("metric", "")),
        higher_is_better=bool(first.get("higher_is_better", True)),
        estimate=over_seeds([float(r["value"]) for r in records], [_interval(r) for r in records]),
        chance=number(first, "chance"),
        packed=math.fsum(packed) / len(packed) if packed else None,
        n_test=None if n_test is None else int(n_test),
        correlations=correlations,
    )


def _interval(record: Record) -> tuple[float, float] | None:
    ends = record.get("interval")
    if not isinstance(ends, Sequence) or len(ends) != 2 or None in ends:
        return None
    return float(ends[0]), float(ends[1])
