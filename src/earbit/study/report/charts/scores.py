"""Charts of scores: per task, relative losses, and scores against time and storage."""

from __future__ import annotations

from earbit.heads.estimates import Estimate
from earbit.study.report import numbers
from earbit.study.report.charts.spec import (
    QUIET,
    Chart,
    Key,
    Values,
    band,
    chart_spec,
    color_legend,
    colored,
    hover,
    intervals,
    legend_of_both,
    line_at,
    shaped,
    short_names,
    symlog_of,
    x_of,
)
from earbit.study.report.comparisons import relative_loss
from earbit.study.report.rows import FILTERBANK, FLOAT, NO_PLAN, UNTRAINED, Study
from earbit.study.report.tables import metric_of
from earbit.superb.tasks import TASKS

FILTERBANK_LABEL = "filterbank"
CHANCE = Key("┆", QUIET, "chance")


def title_of(task: str) -> str:
    """Title of a task with its short name."""
    return f"{TASKS[task].title} ({task.upper()})" if task in TASKS else task


def axis_title(study: Study, task: str) -> str:
    """Name, unit and direction of the metric of a task."""
    metric, higher = metric_of(study, task)
    name = metric.replace("_", " ")
    if len(name) <= 4 and name != "chance":
        name = name.upper()
    unit = numbers.unit_of(metric).strip()
    return f"{name}{', ' * bool(unit)}{unit}, {'higher' if higher else 'lower'} is better"


def ends(metric: str, estimate: Estimate) -> dict[str, float | str | None]:
    """Fields of an estimate in the shown unit, with a text for hovering."""
    shown = estimate.times(numbers.scale_of(metric))
    text = f"{numbers.score(metric, estimate.value)}{numbers.unit_of(metric)}"
    if estimate.low is not None and estimate.high is not None:
        text += f" ({numbers.span(metric, estimate.low, estimate.high)})"
    return {"value": shown.value, "low": shown.low, "high": shown.high, "text": text}


def score_charts(study: Study) -> list[Chart]:
    """One chart for each task: scores of all encoders and plans, with intervals."""
    names = short_names(study.encoders)
    plans = [*study.plans, UNTRAINED]
    charts = []
    for task in study.tasks:
        values: Values = []
        metric, _ = metric_of(study, task)
        chance = None
        rows = [(encoder, plan) for encoder in study.encoders for plan in plans]
        for encoder, plan in [*rows, (FILTERBANK, NO_PLAN)]:
            score = study.score(encoder, plan, task)
            if score is not None:
                label = names.get(encoder, FILTERBANK_LABEL)
                shown_plan = FLOAT if plan == NO_PLAN else plan
                values.append({"encoder": label, "plan": shown_plan} | ends(metric, score.estimate))
                chance = chance if score.chance is None else score.chance
        order = [*names.values(), FILTERBANK_LABEL]
        n_labels = len({value["encoder"] for value in values})
        y = band("encoder", order)
        offset = {"field": "plan", "type": "nominal", "sort": plans}
        x = x_of("value", axis_title(study, task))
        tooltip = hover(("encoder", "encoder"), ("plan", "plan"), ("text", "score"))
        x["axis"] |= {"tickCount": 4, "titleAnchor": "end"}
        layer = [
            *intervals(values),
            {"mark": "point", "encoding": {"x": x, "shape": shaped("plan", plans)}},
        ]
        if chance is not None:
            text = f"chance, {numbers.score(metric, chance)}{numbers.unit_of(metric)}"
            at = numbers.scale_of(metric) * chance
            layer.insert(0, line_at("x", at, text=text, is_dashed=True))
        spec = chart_spec(
            f"Scores in {title_of(task)}",
            24 * n_labels + 10 * n_labels * (len(plans) > 3) + 20,
            data={"values": values},
            encoding={
                "y": y,
                "yOffset": offset,
                "color": colored("plan", plans),
                "tooltip": tooltip,
            },
            layer=layer,
        )
        charts.append(Chart(title_of(task), {"": spec}))
    return charts


def score_legend(study: Study) -> tuple[Key, ...]:
    """Legend that the charts of all tasks share."""
    plans = [*study.plans, UNTRAINED]
    chance = any(record.get("chance") is not None for record in study.table("scores"))
    return (*legend_of_both(plans), *(CHANCE,) * chance)


def loss_chart(study: Study) -> Chart | None:
    """Relative loss of every encoder and task from fp32 to the low plan; None without any."""
    plan = study.low_plan
    if plan is None:
        return None
    names = short_names(study.encoders)
    values: Values = []
    for task in study.tasks:
        for encoder in study.encoders:
            loss = relative_loss(study, encoder, plan, task)
            if loss is None:
                continue
            shown = loss.times(100)
            text = f"{numbers.signed(shown.value)} %"
            if shown.low is not None and shown.high is not None:
                text += f" ({numbers.signed(shown.low)} to {numbers.signed(shown.high)})"
            values.append(
                {"task": task.upper(), "encoder": names[encoder], "text": text}
                | {"value": shown.value, "low": shown.low, "high": shown.high}
            )
    if not values:
        return None
    order = [task.upper() for task in study.tasks]
    labels = list(names.values())
    points = [v for value in values for key in ("low", "value", "high") if (v := value[key])]
    x = symlog_of("value", "relative loss from fp32, % (right is worse)", [0.0, *points])
    n_tasks = len({value["task"] for value in values})
    spec = chart_spec(
        f"Relative loss of score from fp32 to {plan} by task and encoder",
        n_tasks * max(22, 11 * len(labels) + 8),
        data={"values": values},
        encoding={
            "y": band("task", order, scale={"paddingInner": 0.25}),
            "yOffset": {"field": "encoder", "type": "nominal", "sort": labels},
            "color": colored("encoder", labels),
            "tooltip": hover(("task", "task"), ("encoder", "encoder"), ("text", "relative loss")),
        },
        layer=[
            line_at("x", 0),
            *intervals(values),
            {"mark": {"type": "point", "size": 45}, "encoding": {"x": x}},
        ],
    )
    return Chart(
        f"Relative loss from fp32 to {plan}",
        {"": spec},
        "Loss of score as a share of the score in fp32 of the same encoder, with 95 % intervals. "
        "Compare encoders within a task: metrics differ between tasks. Pairs whose fp32 score is "
        "at chance are left out.",
        color_legend(labels),
        is_wide=True,
    )
