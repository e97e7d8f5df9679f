"""Charts of measured time: by engine, by op, and beside estimates."""

from __future__ import annotations

import re
from collections import defaultdict

from earbit.nn.roles import label_of
from earbit.study.report import numbers
from earbit.study.report.charts.spec import (
    QUIET,
    Chart,
    Spec,
    Values,
    band,
    chart_spec,
    color_legend,
    colored,
    hover,
    intervals,
    legend_of_both,
    line_at,
    needs_log,
    shaped,
    short_names,
    x_of,
)
from earbit.study.report.claim import Cast
from earbit.study.report.rows import FLOAT, OURS, Study, number

N_OPS = 7
"""Ops with a colour of their own; others are summed."""
OTHER = "other"
ENGINES = {
    OURS: "earbit",
    "torch": "PyTorch",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
}
OVER_TORCH = "measured, over PyTorch fp32"
ESTIMATED, ESTIMATED_HERE = "estimated, A100", "estimated, this CPU"
BOPS, MEASURED = "fewer BOPs", "measured, this CPU"


def engine_chart(study: Study) -> Chart | None:
    """Measured times of every row by every engine; None without times."""
    names = short_names(study.encoders)
    values: Values = []
    for record in study.table("times"):
        median = number(record, "median_ms")
        if median is None or record.get("encoder") not in names:
            continue
        engine = str(record.get("engine"))
        low, high = (number(record, name) for name in ("p10_ms", "p90_ms"))
        text = f"{numbers.digits(median)} ms"
        if low is not None and high is not None:
            text += f" (p10 to p90: {numbers.digits(low)} to {numbers.digits(high)})"
        values.append(
            {
                "row": f"{names[record['encoder']]} {record.get('plan')}",
                "engine": ENGINES.get(engine, engine),
                "ms": median,
                "low": low,
                "high": high,
                "text": text,
                "precision": str(record.get("precision", "")),
            }
        )
    if not values:
        return None
    order = [f"{names[encoder]} {plan}" for encoder, plan in study.rows]
    engines = list(dict.fromkeys([*ENGINES.values(), *(v["engine"] for v in values)]))
    engines = [e for e in engines if any(v["engine"] == e for v in values)]
    x = x_of("ms", "median time, ms", is_log=needs_log(v["ms"] for v in values))
    spec = chart_spec(
        "Measured time of every model by engine",
        26 * len({v["row"] for v in values}) + 10,
        data={"values": values},
        encoding={
            "y": band("row", order),
            "color": colored("engine", engines),
            "tooltip": hover(
                ("row", "model"), ("engine", "engine"), ("precision", "precision"), ("text", "time")
            ),
        },
        layer=[
            *intervals(values),
            {"mark": "point", "encoding": {"x": x, "shape": shaped("engine", engines)}},
        ],
    )
    return Chart(
        "Measured time by engine",
        {"": spec},
        "",
        legend_of_both(engines),
    )


def op_charts(study: Study) -> list[Chart]:
    """Where the time goes: one chart for each plan, with the sum of each op by encoder."""
    names = short_names(study.encoders)
    sums: dict[tuple[str, str, str], float] = defaultdict(float)
    roles: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for record in study.table("ops"):
        for op in record.get("ops") or []:
            ms = number(op, "ms")
            if ms is not None and record.get("encoder") in names:
                key = (record["encoder"], str(record.get("plan")), _kind(str(op.get("op"))))
                sums[key] += ms
                if op.get("role"):
                    roles[key].add(label_of(str(op["role"])))
    totals: dict[str, float] = defaultdict(float)
    of_row: dict[tuple[str, str], float] = defaultdict(float)
    for (encoder, plan, _), ms in sums.items():
        of_row[encoder, plan] += ms
    for (encoder, plan, op), ms in sums.items():  # shares, so that no plan outweighs another
        totals[op] += ms / of_row[encoder, plan]
    shown = sorted(totals, key=totals.__getitem__, reverse=True)[:N_OPS]
    ops = [*shown, OTHER] if len(totals) > N_OPS else shown
    charts = []
    for plan in study.plans:
        merged: dict[tuple[str, str], float] = defaultdict(float)
        for (encoder, of_plan, op), ms in sums.items():
            if of_plan == plan:
                merged[encoder, op if op in shown else OTHER] += ms
        values: Values = [
            {
                "encoder": names[encoder],
                "op": op,
                "order": ops.index(op),
                "ms": ms,
                "text": f"{numbers.digits(ms)} ms, {100 * ms / of_row[encoder, plan]:.0f} %",
                "role": ", ".join(sorted(roles[encoder, plan, op])),
            }
            for (encoder, op), ms in merged.items()
        ]
        if values:
            charts.append(Chart(f"Time by op, {plan}", {"": _stacked(values, names, ops)}, ""))
    if charts:
        legend = color_legend(ops, "■")
        charts = [Chart(chart.title, chart.specs, "", legend) for chart in charts]
    return charts


def _kind(op: str) -> str:
    """An op without the format of its operands: `attention` for `attention_b1`."""
    name = re.sub(r"_(f32|i8|b1|planes)$", "", op)
    return {"gemm": "linear"}.get(name, name).replace("_", " ")


def _stacked(values: Values, names: dict[str, str], ops: list[str]) -> Spec:
    x = x_of("ms", "ms", zero=True, padding=0)
    role = [("role", "role")] * any(value["role"] for value in values)
    return chart_spec(
        "Time by op and encoder",
        42 * len({v["encoder"] for v in values}) + 10,
        data={"values": values},
        mark="bar",
        encoding={
            "y": band("encoder", list(names.values())),
            "x": x | {"stack": "zero"},
            "color": colored("op", ops),
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": hover(("encoder", "encoder"), ("op", "op"), ("text", "time"), *role),
        },
    )


def speed_up_charts(study: Study, cast: Cast) -> list[Chart]:
    """Estimated and measured speed-up of the low plan, against two references."""
    plan = study.low_plan
    if plan is None:
        return []
    names = short_names(study.encoders)
    kinds = [BOPS, ESTIMATED, ESTIMATED_HERE, MEASURED, OVER_TORCH]
    charts = []
    for reference in (None, cast.transformer):
        values: Values = []
        for encoder in study.encoders:
            base, row = (reference or encoder, FLOAT), (encoder, plan)
            figures = {
                BOPS: [study.figure("bops", *r) for r in (base, row)],
                ESTIMATED: [study.figure("estimate_ms", *r) for r in (base, row)],
                ESTIMATED_HERE: [
                    number(study.cost(*r), "estimate_ms", "this-cpu") for r in (base, row)
                ],
                MEASURED: [study.figure("time_ms", *r) for r in (base, row)],
                OVER_TORCH: [
                    number(study.time(*_beside(base, row), "torch"), "median_ms"),
                    study.figure("time_ms", *row),
                ],
            }
            for kind, (full, low) in figures.items():
                if full and low:
                    ratio = full / low
                    values.append(
                        {"encoder": names[encoder], "kind": kind, "ratio": ratio}
                        | {"text": numbers.times(ratio)}
                    )
        if not values or (reference is None and FLOAT not in study.plans):
            continue
        against = f"{reference} in fp32" if reference else "fp32 of the same encoder"
        used = [kind for kind in kinds if any(v["kind"] == kind for v in values)]
        charts.append(
            Chart(
                f"{plan} against {against}",
                {"": _speed_ups(values, names, used, against)},
                "",
                legend_of_both(used),
            )
        )
    return charts


def _beside(base: tuple[str, str], row: tuple[str, str]) -> tuple[str, str]:
    """The row beside which a peer computed the model of `base`: the same one, measured in turns."""
    return row if base[0] == row[0] else base


def _speed_ups(values: Values, names: dict[str, str], kinds: list[str], against: str) -> Spec:
    smallest = min(value["ratio"] for value in values)
    scale = {"domainMin": 1} if smallest > 1 else {}
    x = x_of("ratio", f"factor against {against}", is_log=True, **scale)
    return chart_spec(
        f"Estimated and measured speed-up against {against}",
        34 * len({v["encoder"] for v in values}) + 10,
        data={"values": values},
        encoding={"y": band("encoder", list(names.values()))},
        layer=[
            line_at("x", 1, text="as slow as the reference"),
            {
                "mark": {"type": "rule", "stroke": QUIET, "opacity": 0.5},
                "transform": [
                    {
                        "aggregate": [
                            {"op": "min", "field": "ratio", "as": "from"},
                            {"op": "max", "field": "ratio", "as": "to"},
                        ],
                        "groupby": ["encoder"],
                    }
                ],
                "encoding": {"x": {"field": "from", "type": "quantitative"}, "x2": {"field": "to"}},
            },
            {
                "mark": {"type": "point", "size": 100},
                "encoding": {
                    "x": x,
                    "color": colored("kind", kinds),
                    "shape": shaped("kind", kinds),
                    "tooltip": hover(("encoder", "encoder"), ("kind", "kind"), ("text", "factor")),
                },
            },
        ],
    )
