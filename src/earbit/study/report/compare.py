"""Two studies compared: the same rows side by side, with differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from earbit.study.report import numbers
from earbit.study.report.charts.scores import axis_title, ends, title_of
from earbit.study.report.charts.spec import (
    Chart,
    Values,
    band,
    chart_spec,
    colored,
    hover,
    intervals,
    legend_of_both,
    shaped,
    x_of,
)
from earbit.study.report.claims import claims_of
from earbit.study.report.comparisons import Tally, tally
from earbit.study.report.provenance import name_of, provenance
from earbit.study.report.rows import FILTERBANK, NO_PLAN, UNTRAINED, Score, Study, number
from earbit.study.report.tables import (
    COST_COLUMNS,
    Cell,
    Line,
    Table,
    metric_of,
    score_cell,
    task_column,
)

NAMES = ("A", "B")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two studies have in common and where they differ."""

    names: tuple[str, str]
    differences: tuple[tuple[str, str, str], ...]
    """Settings that differ: name, value in A, value in B."""
    missing: tuple[str, ...]
    """Rows that only one study has."""
    scores: Table
    costs: Table
    claims: tuple[tuple[str, str, str], ...]
    """Title, verdict in A, verdict in B."""
    total: Tally
    """Pairs of row and task by whether B scores better than A."""
    charts: tuple[Chart, ...]


def comparison_of(first: Study, second: Study) -> Comparison:
    """Compares the rows that both studies have; changes are from `first` (A) to `second` (B)."""
    pair = (first, second)
    return Comparison(
        names=(name_of(first), name_of(second)),
        differences=tuple(_differences(first, second)),
        missing=tuple(_missing(first, second)),
        scores=_scores(pair),
        costs=_costs(pair),
        claims=tuple(
            (a.title, a.word, b.word)
            for a, b in zip(claims_of(first), claims_of(second), strict=True)
        ),
        total=_total(pair),
        charts=tuple(_charts(pair)),
    )


def _differences(first: Study, second: Study) -> Iterator[tuple[str, str, str]]:
    values = [dict(provenance(study)) for study in (first, second)]
    for name in dict.fromkeys([*values[0], *values[1]]):
        a, b = (value.get(name, "-") for value in values)
        if a != b:
            yield name, a, b


def _rows(study: Study) -> list[tuple[str, str]]:
    untrained = [(encoder, UNTRAINED) for encoder in study.encoders]
    return [*study.rows, *untrained, (FILTERBANK, NO_PLAN)]


def _missing(first: Study, second: Study) -> Iterator[str]:
    for name, study, other in zip(NAMES, (first, second), (second, first), strict=True):
        for encoder, plan in study.rows:
            if (encoder, plan) not in other.rows:
                yield f"{encoder} {plan} is only in {name}"


def _tasks(pair: tuple[Study, Study]) -> list[str]:
    """Tasks that both studies score by the same metric."""
    first, second = pair
    common = [task for task in first.tasks if task in second.tasks]
    return [task for task in common if metric_of(first, task) == metric_of(second, task)]


def _scores(pair: tuple[Study, Study]) -> Table:
    tasks = _tasks(pair)
    lines = []
    for row in _rows(pair[0]):
        both = [[_alone(study.score(*row, task)) for task in tasks] for study in pair]
        if not any(a is not None and b is not None for a, b in zip(*both, strict=True)):
            continue
        for name, mine, other in zip(NAMES, both, (both[1], both[0]), strict=True):
            against = other if name == "B" else [None] * len(tasks)
            cells = tuple(score_cell(a, b) for a, b in zip(mine, against, strict=True))
            lines.append(Line(" ".join(row), name, cells, is_low=name == "B"))
    return Table(tuple(task_column(pair[0], task) for task in tasks), tuple(lines))


def _alone(score: Score | None) -> Score | None:
    """A score without the correlations with rows of its study, which are none with another's."""
    return None if score is None else replace(score, correlations={})


def _costs(pair: tuple[Study, Study]) -> Table:
    lines = []
    for row in pair[0].rows:
        if row not in pair[1].rows:
            continue
        for name, study in zip(NAMES, pair, strict=True):
            cells = []
            for _, figure, factor in COST_COLUMNS:
                value, base = figure(study, *row), figure(pair[0], *row)
                cells.append(_cost_cell(value, base if name == "B" else None, factor))
            lines.append(Line(" ".join(row), name, tuple(cells), is_low=name == "B"))
    return Table(tuple(column for column, _, _ in COST_COLUMNS), tuple(lines))


def _cost_cell(value: float | None, base: float | None, factor: float) -> Cell:
    if value is None:
        return Cell("-")
    if not base:
        return Cell(numbers.digits(factor * value))
    ratio = value / base
    text = numbers.digits(factor * value)
    if ratio == 1:
        return Cell(text)
    return Cell(text, "", numbers.change(ratio), "better" if ratio < 1 else "worse")


def _total(pair: tuple[Study, Study]) -> Tally:
    def gains() -> Iterator[tuple[str, Any]]:
        for row in pair[0].rows:
            for task in _tasks(pair):
                a, b = (_alone(study.score(*row, task)) for study in pair)
                name = f"{' '.join(row)} in {task}"
                yield name, None if a is None or b is None else b.gain_over(a)

    return tally(gains())


def _charts(pair: tuple[Study, Study]) -> Iterator[Chart]:
    rows = [row for row in pair[0].rows if row in pair[1].rows]
    order = [" ".join(row) for row in rows]
    legend = legend_of_both(NAMES)
    for task in _tasks(pair):
        metric, _ = metric_of(pair[0], task)
        values: Values = [
            {"row": " ".join(row), "study": name} | ends(metric, score.estimate)
            for name, study in zip(NAMES, pair, strict=True)
            for row in rows
            if (score := study.score(*row, task)) is not None
        ]
        if values:
            x = x_of("value", axis_title(pair[0], task))
            yield _dots(title_of(task), values, order, x, legend)
    times: Values = [
        {"row": " ".join(row), "study": name, "value": ms, "text": f"{numbers.digits(ms)} ms"}
        | {key: number(study.time(*row), f"p{n}_ms") for key, n in (("low", 10), ("high", 90))}
        for name, study in zip(NAMES, pair, strict=True)
        for row in rows
        if (ms := study.figure("time_ms", *row)) is not None
    ]
    if times:
        x = x_of("value", "median time, ms", is_log=True)
        yield _dots("Measured time", times, order, x, legend)


def _dots(title: str, values: Values, order: list[str], x: dict[str, Any], legend: Any) -> Chart:
    spec = chart_spec(
        f"{title} in both studies",
        28 * len({value["row"] for value in values}) + 10,
        data={"values": values},
        encoding={
            "y": band("row", order),
            "yOffset": {"field": "study", "type": "nominal", "sort": list(NAMES)},
            "color": colored("study", NAMES),
            "tooltip": hover(("row", "model"), ("study", "study"), ("text", "value")),
        },
        layer=[
            *intervals(values),
            {"mark": "point", "encoding": {"x": x, "shape": shaped("study", NAMES)}},
        ],
    )
    return Chart(title, {"": spec}, "", legend)
