"""Charts of scores against measured time and against storage, with Pareto fronts."""

from __future__ import annotations

from collections.abc import Iterator

from earbit.study.report import numbers
from earbit.study.report.charts.scores import axis_title, ends, title_of
from earbit.study.report.charts.spec import (
    QUIET,
    Chart,
    Key,
    Spec,
    Values,
    band,
    chart_spec,
    color_legend,
    colored,
    hover,
    intervals,
    needs_log,
    shape_legend,
    shaped,
    short_names,
    x_of,
)
from earbit.study.report.rows import Study
from earbit.study.report.tables import front, metric_of

COSTS = {"time_ms": "measured time, ms", "file_bytes": "program file, MB"}


def trade_off_charts(study: Study) -> list[Chart]:
    """Scores against measured time and against storage, one specification for each task."""
    names = short_names(study.encoders)
    legend = (
        *color_legend(list(names.values())),
        *shape_legend(study.plans),
        Key("━", QUIET, "Pareto front"),
    )
    charts = []
    for figure, title in COSTS.items():
        specs = {title_of(task): spec for task, spec in _trade_offs(study, figure, title)}
        if specs:
            what = title.partition(",")[0]
            charts.append(Chart(f"Score against {what}", specs, "", legend, group="task"))
    return charts


def _trade_offs(study: Study, figure: str, title: str) -> Iterator[tuple[str, Spec]]:
    names = short_names(study.encoders)
    factor = 1e-6 if figure == "file_bytes" else 1.0
    for task in study.tasks:
        metric, higher = metric_of(study, task)
        values: Values = []
        for encoder, plan in study.rows:
            score, cost = study.score(encoder, plan, task), study.figure(figure, encoder, plan)
            if score is None or not cost:
                continue
            values.append(
                {"encoder": names[encoder], "plan": plan, "cost": factor * cost}
                | {"cost_text": numbers.digits(factor * cost)}
                | ends(metric, score.estimate)
            )
        if not values:
            continue
        sign = 1 if higher else -1
        best = front([(v["cost"], sign * v["value"]) for v in values])
        x = x_of("cost", title, is_log=needs_log(v["cost"] for v in values))
        y = x_of("value", axis_title(study, task), reverse=not higher)
        y["axis"] |= {"minExtent": 34, "titleLimit": 240}
        yield (
            task,
            chart_spec(
                f"{title_of(task)} against {title}",
                300,
                encoding={"x": x, "y": y},
                layer=[
                    {
                        "data": {"values": [values[i] for i in best]},
                        "mark": {
                            "type": "line",
                            "interpolate": "step-after",
                            "stroke": QUIET,
                            "strokeWidth": 1.2,
                        },
                    },
                    *intervals(
                        values,
                        y={"field": "low", "type": "quantitative"},
                        y2={"field": "high"},
                        color=colored("encoder", list(names.values())),
                    ),
                    {
                        "data": {"values": values},
                        "mark": {"type": "point", "size": 90},
                        "encoding": {
                            "color": colored("encoder", list(names.values())),
                            "shape": shaped("plan", study.plans),
                            "tooltip": hover(
                                ("encoder", "encoder"),
                                ("plan", "plan"),
                                ("text", "score"),
                                ("cost_text", title),
                            ),
                        },
                    },
                ],
            ),
        )


def front_chart(study: Study) -> Chart | None:
    """In how many tasks each row is on the two Pareto fronts; None without a front."""
    names = short_names(study.encoders)
    values: Values = [
        {"row": f"{names[encoder]} {plan}", "front": title.partition(",")[0], "n": n}
        | {"text": f"{n} of {counted}"}
        for figure, title in COSTS.items()
        for encoder, plan, n, counted in front_counts(study, figure)
    ]
    if not values:
        return None
    fronts = [title.partition(",")[0] for title in COSTS.values()]
    order = [f"{names[encoder]} {plan}" for encoder, plan in study.rows]
    x = x_of("n", "number of tasks", zero=True, padding=0, domainMax=len(study.tasks))
    n_tasks = len(study.tasks)
    x["axis"] |= {"values": list(range(0, n_tasks + 1, 1 + n_tasks // 6)), "format": "d"}
    x["axis"] |= {"format": "d", "tickMinStep": 1}
    spec = chart_spec(
        "Tasks in which a row is on the Pareto front",
        300,
        data={"values": values},
        mark={"type": "bar"},
        encoding={
            "y": band("row", order),
            "yOffset": {"field": "front", "type": "nominal", "sort": fronts},
            "x": x,
            "color": colored("front", fronts),
            "tooltip": hover(("row", "model"), ("front", "front"), ("text", "tasks")),
        },
    )
    return Chart(
        "Tasks in which a row is on the front",
        {"": spec},
        "Intervals are disregarded.",
        color_legend(fronts, "■"),
    )


def front_counts(study: Study, figure: str = "time_ms") -> list[tuple[str, str, int, int]]:
    """In how many tasks each row is on the Pareto front: encoder, plan, count, number of tasks."""
    counts = {row: [0, 0] for row in study.rows}
    for task in study.tasks:
        rows = []
        for row in study.rows:
            score, cost = study.score(*row, task), study.figure(figure, *row)
            if score is not None and cost:
                worth = score.estimate.value * (1 if score.higher_is_better else -1)
                rows.append((row, (cost, worth)))
        best = {rows[i][0] for i in front([point for _, point in rows])}
        for row, _ in rows:
            counts[row][0] += row in best
            counts[row][1] += 1
    return [(*row, on, of) for row, (on, of) in counts.items() if of]
