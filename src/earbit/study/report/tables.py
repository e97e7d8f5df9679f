"""The tables of the page: cost, scores, ratios beside the paper, the Pareto front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from earbit.cost.paper import PRINTED
from earbit.heads.estimates import Estimate
from earbit.study.report import numbers
from earbit.study.report.claim import Cast
from earbit.study.report.rows import (
    FILTERBANK,
    FLOAT,
    NO_PLAN,
    UNTRAINED,
    Score,
    Study,
    number,
)
from earbit.superb.tasks import TASKS

Tone = Literal["better", "worse", "unclear", ""]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: the value, its spread below it, and the difference with its tone."""

    text: str = ""
    spread: str = ""
    change: str = ""
    tone: Tone = ""
    note: str = ""
    """Shown on hover."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table; is_low: a quantized plan;  is_baseline: not a trained encoder."""

    encoder: str
    plan: str
    cells: tuple[Cell, ...]
    is_low: bool = False
    is_baseline: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """Heading of a column, and its unit or metric below it."""

    title: str
    unit: str
    group: str = ""
    """Heading above it and its neighbours."""
    note: str = ""
    """Shown on hover."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and lines."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


Figure = Callable[[Study, str, str], float | None]


def _of_cost(name: str) -> Figure:
    return lambda study, encoder, plan: study.figure(name, encoder, plan)


def _of_time(name: str) -> Figure:
    return lambda study, encoder, plan: number(study.time(encoder, plan), name)


COST_COLUMNS: tuple[tuple[Column, Figure, float], ...] = (
    (Column("parameters", "10\N{SUPERSCRIPT SIX}", "counted"), _of_cost("parameters"), 1e-6),
    (Column("storage", "MB", "counted"), _of_cost("storage_bytes"), 1e-6),
    (Column("MACs", "10\N{SUPERSCRIPT NINE}", "counted"), _of_cost("macs"), 1e-9),
    (Column("FLOPs", "10\N{SUPERSCRIPT NINE}", "counted"), _of_cost("flops"), 1e-9),
    (Column("BOPs", "10\N{SUPERSCRIPT NINE}", "counted"), _of_cost("bops"), 1e-9),
    (Column("A100", "µs", "estimated"), _of_cost("estimate_ms"), 1e3),
    (Column("file", "MB", "measured on this CPU"), _of_cost("file_bytes"), 1e-6),
    (Column("time", "ms", "measured on this CPU"), _of_time("median_ms"), 1.0),
    (Column("real-time factor", "", "measured on this CPU"), _of_time("rtf"), 1.0),
    (Column("peak memory", "MB", "measured on this CPU"), _of_time("peak_rss_bytes"), 1e-6),
)


def cost_table(study: Study, cast: Cast) -> Table:
    """Table 1: cost of every row, with changes against the Transformer in fp32."""
    reference = (cast.transformer or (study.encoders or [""])[0], FLOAT)
    lines = []
    for encoder, plan in study.rows:
        cells = []
        for column, figure, factor in COST_COLUMNS:
            value, base = figure(study, encoder, plan), figure(study, *reference)
            cells.append(_cost_cell(study, (encoder, plan), column, value, base, factor))
        lines.append(Line(encoder, plan, tuple(cells), is_low=plan != FLOAT))
    return Table(tuple(column for column, _, _ in COST_COLUMNS), tuple(lines))


def _cost_cell(
    study: Study,
    row: tuple[str, str],
    column: Column,
    value: float | None,
    base: float | None,
    factor: float,
) -> Cell:
    if value is None:
        return Cell("-")
    spread = ""
    if column.title == "time":
        low, high = (number(study.time(*row), name) for name in ("p10_ms", "p90_ms"))
        if low is not None and high is not None:
            spread = f"{numbers.digits(low)} to {numbers.digits(high)}"
    ratio = value / base if base else None
    change = "" if ratio is None or ratio == 1 else numbers.change(ratio)
    tone: Tone = "" if ratio is None or ratio == 1 else "better" if ratio < 1 else "worse"
    return Cell(numbers.digits(factor * value), spread, change, tone)


def score_table(study: Study) -> Table:
    """Table 2: scores of every row and baseline.

    Changes of a quantized row are against fp32 of the same encoder, and those of other rows against
    fp32 of the first encoder.
    """
    first = (study.encoders[0], FLOAT) if study.encoders else ("", "")
    lines = []
    for encoder, plan in study.rows:
        against = (encoder, FLOAT) if plan != FLOAT else first
        other = None if against == (encoder, plan) else against
        cells = tuple(_score_cell(study, (encoder, plan), other, t) for t in study.tasks)
        if any(cell.text != "-" for cell in cells):
            lines.append(Line(encoder, plan, cells, is_low=plan != FLOAT))
    baselines = [(encoder, UNTRAINED) for encoder in study.encoders] + [(FILTERBANK, NO_PLAN)]
    for row in baselines:
        cells = tuple(_score_cell(study, row, None, task) for task in study.tasks)
        if any(cell.text != "-" for cell in cells):
            lines.append(Line(*row, cells, is_baseline=True))
    return Table(tuple(task_column(study, task) for task in study.tasks), tuple(lines))


def task_column(study: Study, task: str) -> Column:
    """Heading of a task: short name, metric, unit and direction."""
    metric, higher = metric_of(study, task)
    arrow = "\N{UPWARDS ARROW}" if higher else "\N{DOWNWARDS ARROW}"
    title = TASKS[task].title if task in TASKS else task
    name = metric.replace("_", " ")
    unit = numbers.unit_of(metric).strip()
    return Column(task.upper(), f"{name}{', ' * bool(unit)}{unit} {arrow}", note=title)


def metric_of(study: Study, task: str) -> tuple[str, bool]:
    """Metric of a task, and whether higher is better."""
    for record in study.table("scores"):
        if record.get("task") == task:
            return str(record.get("metric", "")), bool(record.get("higher_is_better", True))
    return "", True


def _score_cell(
    study: Study, row: tuple[str, str], against: tuple[str, str] | None, task: str
) -> Cell:
    other = None if against is None else study.score(*against, task)
    return score_cell(study.score(*row, task), other)


def score_cell(score: Score | None, other: Score | None) -> Cell:
    """A score with its interval, and its difference from another one."""
    if score is None:
        return Cell("-")
    estimate, metric = score.estimate, score.metric
    spread = ""
    if estimate.low is not None and estimate.high is not None:
        spread = numbers.span(metric, estimate.low, estimate.high)
    text = numbers.score(metric, estimate.value) + "\N{DAGGER}" * score.is_at_chance
    if other is None:
        return Cell(text, spread, note=_note(score))
    sign = 1.0 if score.higher_is_better else -1.0
    gain = score.gain_over(other)
    difference = gain.times(sign * numbers.scale_of(metric))
    decimals = 1 if numbers.unit_of(metric) else 3
    change = numbers.signed(difference.value, decimals)
    note = _note(score)
    if difference.low is not None and difference.high is not None:
        ends = (numbers.signed(end, decimals) for end in (difference.low, difference.high))
        note += f", 95 % interval of the difference {' to '.join(ends)}"
    return Cell(text, spread, change, _tone(gain), note)


def _note(score: Score) -> str:
    """What a score is based on."""
    parts = [numbers.counted(score.estimate.n_seeds, "seed")]
    if score.n_test is not None:
        parts.append(f"{score.n_test} test examples")
    if score.chance is not None:
        parts.append(f"chance {numbers.score(score.metric, score.chance)}")
    if score.packed is not None:
        parts.append(f"packed program {numbers.score(score.metric, score.packed)}")
    return ", ".join(parts)


def _tone(gain: Estimate) -> Tone:
    if not gain.excludes_zero:
        return "unclear"
    return "better" if gain.value > 0 else "worse"


def paper_ratios(study: Study, cast: Cast) -> list[dict[str, Any]]:
    """Ratios to the fp32 Transformer, in the paper and in this study."""
    by_kind: dict[str, str | None] = {
        "hubert-base": cast.transformer,
        "conformer-s": next((e for e in cast.mixed if study.kind_of(e) == "conformer"), None),
        "sparseformer-dn-s": cast.deep,
    }
    found = []
    for (model, plan), printed in PRINTED.items():
        encoder = by_kind.get(model)
        ours = FLOAT if plan == FLOAT else study.one_bit_plan
        if encoder is None or ours is None or (encoder == cast.transformer and ours == FLOAT):
            continue
        figures = {
            "storage": (printed.storage, "storage_fp16_bits"),
            "FLOPs": (printed.flops, "flops" if plan == FLOAT else "float_flops"),
            "BOPs": (printed.bops, "bops"),
            "estimated time": (printed.time, "estimate_ms"),
            "measured time": (None, "time_ms"),
        }
        cells = []
        for paper, name in figures.values():
            value = study.figure(name, encoder, ours)
            base = study.figure(name, cast.transformer, FLOAT)
            cells.append(
                (
                    "-" if paper is None else numbers.change(1 + paper / 100),
                    numbers.change(value / base) if value is not None and base else "-",
                )
            )
        found.append({"encoder": encoder, "plan": ours, "cells": cells, "names": list(figures)})
    return found


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of points on the Pareto front: low cost, high worth; in the order of cost.

    points: pairs of cost and worth.
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    best, found = float("-inf"), []
    for i in order:
        if points[i][1] > best:
            best = points[i][1]
            found.append(i)
    return found
