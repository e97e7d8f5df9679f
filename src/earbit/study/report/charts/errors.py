"""Charts of how quantization errors propagate through an encoder."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from earbit.nn.roles import ROLES, label_of
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
    short_names,
    x_of,
)
from earbit.study.report.error_claim import sqnr_db
from earbit.study.report.rows import Study

KINDS = ("alone", "accumulated")
SEVERAL = "several"
ROLE_LABELS = [*map(label_of, ROLES), SEVERAL]


def propagation_charts(study: Study) -> list[Chart]:
    """All encoders together, then one chart for each with its modules by role."""
    names = short_names(study.encoders)
    plan = study.low_plan
    by_encoder = {e: _means(study, e, plan) for e in study.encoders}
    by_encoder = {encoder: values for encoder, values in by_encoder.items() if values}
    if not by_encoder:
        return []
    everything = [v["db"] for values in by_encoder.values() for v in values]
    domain = [min(everything), max(everything)]
    labels = list(names.values())
    together: Values = [
        value | {"encoder": names[encoder], "depth": 100 * (value["index"] + 1) / n}
        for encoder, values in by_encoder.items()
        for n in [1 + max(v["index"] for v in values)]
        for value in values
        if value["kind"] == "accumulated"
    ]
    charts = [
        Chart(
            f"Accumulated error in {plan}, all encoders",
            {"": _together(together, labels)},
            "Every output in the quantized model against the float model. Lower is more error. "
            "At 0 dB, error and signal have the same power.",
            color_legend(labels, "━"),
            is_wide=True,
        )
    ]
    used = {v["role"] for values in by_encoder.values() for v in values}
    legend = (
        Key("━", QUIET, "accumulated"),
        Key("┅", QUIET, "alone"),
        *(key for key in color_legend(ROLE_LABELS) if key.text in used),
    )
    for encoder, values in by_encoder.items():
        spec = _modules(values, domain)
        charts.append(Chart(f"{encoder}, {plan}", {"": spec}, "", legend))
    return charts


def _means(study: Study, encoder: str, plan: str | None) -> Values:
    """SQNR of every module alone and accumulated: means over seeds, in the order of computation."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    about: dict[str, Any] = {}
    for record in study.table("propagation"):
        if record.get("encoder") != encoder or record.get("plan") != plan:
            continue
        for module in record.get("modules") or []:
            name = str(module.get("leaf") or module.get("name"))
            role = module.get("role")
            label = label_of(str(role)) if role else SEVERAL
            about.setdefault(name, {"role": label, "layer": module.get("layer")})
            for kind in KINDS:
                db = sqnr_db(module.get(kind))
                if db is not None:
                    found[name, kind].append(db)
    order = list(about)
    return [
        {"module": name, "index": order.index(name), "kind": kind, **about[name]}
        | {"layer": "-" if about[name]["layer"] is None else str(about[name]["layer"])}
        | {"db": sum(values) / len(values)}
        | {"text": f"{numbers.signed(sum(values) / len(values))} dB"}
        for (name, kind), values in found.items()
    ]


def _together(values: Values, labels: list[str]) -> Spec:
    return chart_spec(
        "Accumulated SQNR by depth and encoder",
        260,
        data={"values": values},
        mark={"type": "line", "point": {"size": 35}},
        encoding={
            "x": x_of("depth", "modules computed, %", domain=[0, 100], zero=True, padding=0),
            "y": x_of("db", "SQNR, dB"),
            "color": colored("encoder", labels),
            "tooltip": hover(
                ("encoder", "encoder"), ("module", "module"), ("role", "role"), ("text", "SQNR")
            ),
        },
    )


def _modules(values: Values, domain: list[float]) -> Spec:
    x = x_of("index", "modules in the order of computation", padding=6)
    x["axis"] |= {"labels": False, "ticks": False, "grid": False}
    y = x_of("db", "SQNR, dB", domain=domain, nice=True)
    return chart_spec(
        "SQNR of every module",
        210,
        data={"values": values},
        encoding={"x": x, "y": y},
        layer=[
            {
                "mark": {"type": "line", "stroke": QUIET, "strokeWidth": 1.2},
                "encoding": {
                    "strokeDash": {
                        "field": "kind",
                        "type": "nominal",
                        "legend": None,
                        "scale": {"domain": list(KINDS), "range": [[3, 3], [1, 0]]},
                    }
                },
            },
            {
                "mark": {"type": "point", "size": 50},
                "encoding": {
                    "color": colored("role", ROLE_LABELS),
                    "tooltip": hover(
                        ("module", "module"),
                        ("role", "role"),
                        ("layer", "layer"),
                        ("kind", "measured"),
                        ("text", "SQNR"),
                    ),
                },
            },
        ],
    )
