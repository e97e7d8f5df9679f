"""Charts of deep and narrow against shallow and wide."""

from __future__ import annotations

from earbit.study.report import numbers
from earbit.study.report.charts.spec import (
    Chart,
    Spec,
    Values,
    band,
    chart_spec,
    colored,
    hover,
    intervals,
    legend_of_both,
    line_at,
    shaped,
    symlog_of,
)
from earbit.study.report.claim import Cast
from earbit.study.report.comparisons import COSTS, cost_ratios, gain_in
from earbit.study.report.rows import Study

_LABELS = {**COSTS, "parameters": "parameters", "macs": "MACs"}


def shape_charts(study: Study, cast: Cast) -> list[Chart]:
    """Cost and scores of the wide Sparseformer relative to the deep one."""
    if cast.deep is None or cast.wide is None:
        return []
    legend = legend_of_both(study.plans)
    costs, gains = _costs(study, cast.wide, cast.deep), _gains(study, cast.wide, cast.deep)
    charts = []
    if costs:
        title = f"Cost of {cast.wide} over {cast.deep}"
        x = symlog_of("value", "change, % (right costs more)", _shown(costs))
        charts.append(
            Chart(title, {"": _dots(study, costs, list(_LABELS.values()), x)}, "", legend)
        )
    if gains:
        title = f"Score of {cast.wide} over {cast.deep}"
        x = symlog_of("value", "relative gain of score, % (right is better)", _shown(gains))
        tasks = [task.upper() for task in study.tasks]
        note = "Difference of the scores as a share of the score of the deep encoder, with 95 % "
        note += "intervals."
        charts.append(Chart(title, {"": _dots(study, gains, tasks, x)}, note, legend))
    return charts


def _shown(values: Values) -> list[float]:
    """All ends of the values, and 0."""
    return [0.0, *(v for value in values for k in ("low", "value", "high") if (v := value[k]))]


def _costs(study: Study, wide: str, deep: str) -> Values:
    values: Values = []
    for plan in study.plans:
        for name, ratio in cost_ratios(study, (wide, plan), (deep, plan), names=_LABELS).of.items():
            values.append(
                {"name": _LABELS[name], "plan": plan, "value": 100 * (ratio - 1)}
                | {"low": None, "high": None, "text": numbers.change(ratio)}
            )
    return values


def _gains(study: Study, wide: str, deep: str) -> Values:
    values: Values = []
    for task in study.tasks:
        for plan in study.plans:
            gain, base = (
                gain_in(study, (wide, plan), (deep, plan), task),
                study.score(deep, plan, task),
            )
            if gain is None or base is None or not base.estimate.value:
                continue
            shown = gain.times(100 / abs(base.estimate.value))
            text = f"{numbers.signed(shown.value)} %"
            if shown.low is not None and shown.high is not None:
                text += f" ({numbers.signed(shown.low)} to {numbers.signed(shown.high)})"
            values.append(
                {"name": task.upper(), "plan": plan, "value": shown.value, "text": text}
                | {"low": shown.low, "high": shown.high}
            )
    return values


def _dots(study: Study, values: Values, order: list[str], x: Spec) -> Spec:
    n = len({value["name"] for value in values})
    return chart_spec(
        "Shallow and wide relative to deep and narrow",
        max(n * max(24, 12 * len(study.plans)), 240),
        data={"values": values},
        encoding={
            "y": band("name", order),
            "yOffset": {"field": "plan", "type": "nominal", "sort": study.plans},
            "color": colored("plan", study.plans),
            "tooltip": hover(("name", "of"), ("plan", "plan"), ("text", "change")),
        },
        layer=[
            line_at("x", 0),
            *intervals(values),
            {"mark": "point", "encoding": {"x": x, "shape": shaped("plan", study.plans)}},
        ],
    )
