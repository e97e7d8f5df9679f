"""Charts of units and of trainings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from earbit.study.report import numbers
from earbit.study.report.charts.spec import (
    QUIET,
    Chart,
    Key,
    Spec,
    Values,
    chart_spec,
    color_legend,
    colored,
    hover,
    needs_log,
    short_names,
    x_of,
)
from earbit.study.report.rows import Record, Study, number

N_POINTS = 120
"""Maximum number of points of a curve; more are averaged."""
CURVES = {"loss": "training loss", "accuracy": "accuracy of masked units, %"}


def curve_charts(study: Study) -> list[Chart]:
    """Loss and accuracy of all trainings, a chart for each plan, iteration and figure."""
    names = short_names(study.encoders)
    labels = list(names.values())
    charts = []
    for (plan, iteration), records in _by_stage(study).items():
        where = f"{plan}, iteration {iteration}" if iteration == 2 else plan
        for figure, title in CURVES.items():
            factor = 100.0 if figure == "accuracy" else 1.0
            values = [v for r in records for v in _curve(r, figure, names, factor)]
            if not values:
                continue
            commonest = [c for r in records if (c := number(r, "commonest_unit")) is not None]
            line = 100 * commonest[0] if commonest and figure == "accuracy" else None
            spec = _curves(values, title, labels, line)
            note = "Dotted: the most frequent unit." if line is not None else ""
            name = title.partition(",")[0].capitalize()
            charts.append(Chart(f"{name}, {where}", {"": spec}, note))
    legend = color_legend(labels, "━")
    return [Chart(c.title, c.specs, c.note, legend) for c in charts]


def _by_stage(study: Study) -> dict[tuple[str, int | None], list[Record]]:
    """Trainings of all encoders and seeds by plan and iteration, in the order of the table."""
    stages: dict[tuple[str, int | None], list[Record]] = {}
    for record in study.table("training"):
        if record.get("encoder") in study.encoders:
            iteration = number(record, "iteration")
            key = str(record.get("plan")), None if iteration is None else int(iteration)
            stages.setdefault(key, []).append(record)
    order = list(dict.fromkeys([*study.plans, *(plan for plan, _ in stages)]))
    return dict(sorted(stages.items(), key=lambda item: (order.index(item[0][0]), item[0][1] or 0)))


def _curve(record: Record, figure: str, names: dict[str, str], factor: float) -> Values:
    curve: Any = record.get("curve") or {}
    pairs = [
        (float(step), factor * float(value))
        for step, value in zip(curve.get("step") or [], curve.get(figure) or [], strict=False)
        if isinstance(value, int | float) and math.isfinite(value)
    ]
    name, seed = names[str(record["encoder"])], record.get("seed")
    return [
        {"encoder": name, "seed": seed, "run": f"{name} {seed}", "step": step, "value": value}
        | {"text": numbers.digits(value)}
        for step, value in thinned(pairs)
    ]


def thinned(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `N_POINTS` points: means of neighbours, so that noise is reduced as well."""
    size = max(1, math.ceil(len(pairs) / N_POINTS))
    parts = [pairs[i : i + size] for i in range(0, len(pairs), size)]
    return [
        (sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts
    ]


def _curves(values: Values, title: str, labels: list[str], line: float | None) -> Spec:
    y = x_of("value", title, is_log=line is None and needs_log(v["value"] for v in values))
    y["scale"]["padding"] = 4
    layer: list[Spec] = [
        {
            "mark": "line",
            "encoding": {
                "x": x_of("step", "step", padding=0),
                "y": y,
                "detail": {"field": "run"},
                "color": colored("encoder", labels),
            },
        },
        {
            # Wide invisible points, which are easier to hover than a line.
            "mark": {"type": "point", "opacity": 0, "size": 120},
            "encoding": {
                "x": {"field": "step", "type": "quantitative"},
                "y": {"field": "value", "type": "quantitative"},
                "tooltip": hover(
                    ("encoder", "encoder"), ("seed", "seed"), ("step", "step"), ("text", title)
                ),
            },
        },
    ]
    if line is not None:
        layer.append(
            {
                "data": {"values": [{"commonest": line, "text": f"{numbers.digits(line)} %"}]},
                "mark": {"type": "rule", "strokeDash": [2, 3], "stroke": QUIET},
                "encoding": {
                    "y": {"field": "commonest", "type": "quantitative"},
                    "tooltip": hover(("text", "most frequent unit")),
                },
            }
        )
    return chart_spec(title, 220, data={"values": values}, layer=layer)


def unit_charts(study: Study) -> list[Chart]:
    """Shares of frames of every unit, in the order of their size, for each set of units."""
    charts = []
    for record in study.table("units"):
        counts = [c for c in record.get("histogram") or [] if isinstance(c, int | float)]
        total = sum(counts)
        if not total:
            continue
        ranked = sorted(((c, i) for i, c in enumerate(counts)), reverse=True)
        values: Values = [
            {"rank": rank, "unit": unit, "share": 100 * c / total}
            | {"text": f"{100 * c / total:.2f} %"}
            for rank, (c, unit) in enumerate(ranked, start=1)
        ]
        x = x_of("rank", "units, most frequent first", zero=True, nice=False, padding=4)
        y = x_of("share", "share of frames, %", zero=True, padding=0)
        spec = chart_spec(
            "Frequency of units",
            200,
            data={"values": values},
            layer=[
                {
                    "mark": {"type": "area", "interpolate": "step", "opacity": 0.85},
                    "encoding": {"x": x, "y": y, "color": {"value": "var(--s1)"}},
                },
                {
                    "mark": {"type": "rule", "opacity": 0, "strokeWidth": 6},
                    "encoding": {
                        "x": x,
                        "tooltip": hover(("unit", "unit"), ("rank", "rank"), ("text", "frames")),
                    },
                },
            ],
        )
        charts.append(Chart(units_name(record), {"": spec}))
    return charts


def units_name(record: Record) -> str:
    """Origin of units, as in "Iteration 2, hubert-tiny, layer 2" or "Iteration 1, k100.npz"."""
    parts = [f"Iteration {record.get('iteration', 1)}"]
    if record.get("encoder"):
        parts.append(str(record["encoder"]))
    layer = record.get("layer")
    origin = record.get("labels_of") or record.get("feature", "")
    parts.append(str(origin) if layer is None else f"layer {layer}")
    return ", ".join(filter(None, parts))


UNIT_KEYS = (Key("■", "var(--s1)", "share of frames"),)
