"""Charts of counted cost: operations by role and by length of audio."""

from __future__ import annotations

from earbit.nn.roles import ROLES, label_of
from earbit.study.report import numbers
from earbit.study.report.charts.spec import (
    Chart,
    Values,
    band,
    chart_spec,
    color_legend,
    colored,
    hover,
    short_names,
    x_of,
)
from earbit.study.report.rows import Study, number


def role_chart(study: Study) -> Chart | None:
    """MACs of every encoder by role; None without groups."""
    names = short_names(study.encoders)
    values: Values = []
    for encoder in study.encoders:
        cost = next((r for r in study.table("cost") if r.get("encoder") == encoder), None)
        for order, role in enumerate(ROLES):
            macs = number(cost, "groups", role, "macs")
            if macs:
                values.append(
                    {"encoder": names[encoder], "role": label_of(role), "order": order}
                    | {"gmac": macs / 1e9, "text": f"{numbers.digits(macs / 1e9)} GMAC"}
                )
    if not values:
        return None
    labels = [label_of(role) for role in ROLES]
    x = x_of("gmac", "10⁹ MACs", zero=True, padding=0)
    spec = chart_spec(
        "MACs by role and encoder",
        46 * len(study.encoders) + 10,
        data={"values": values},
        mark="bar",
        encoding={
            "y": band("encoder", list(names.values())),
            "x": x | {"stack": "zero"},
            "color": colored("role", labels),
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": hover(("encoder", "encoder"), ("role", "role"), ("text", "MACs")),
        },
    )
    used = {value["role"] for value in values}
    legend = tuple(key for key in color_legend(labels, "■") if key.text in used)
    note = "Counted, not measured. MACs do not depend on the plan."
    return Chart("Operations by role", {"": spec}, note, legend)


def length_chart(study: Study) -> Chart | None:
    """MACs by the length of the audio; None without this table."""
    names = short_names(study.encoders)
    values: Values = [
        {"encoder": names[r["name"]], "seconds": seconds, "gmac": macs / 1e9 / seconds}
        | {"text": numbers.digits(macs / 1e9 / seconds)}
        for r in study.table("cost_by_length")
        if r.get("name") in names
        for seconds, macs in zip(r.get("seconds") or [], r.get("macs") or [], strict=False)
        if seconds
    ]
    if not values:
        return None
    labels = list(names.values())
    title = "10⁹ MACs per second of audio"
    spec = chart_spec(
        "MACs by the length of the audio",
        240,
        data={"values": values},
        mark={"type": "line", "point": {"size": 35}},
        encoding={
            "x": x_of("seconds", "length of the audio, s", is_log=True),
            "y": x_of("gmac", title, zero=True, padding=0),
            "color": colored("encoder", labels),
            "tooltip": hover(("encoder", "encoder"), ("seconds", "length, s"), ("text", title)),
        },
    )
    note = "A line that rises shows full attention, whose cost grows with the square of the length."
    return Chart("Operations by length of audio", {"": spec}, note, color_legend(labels))
