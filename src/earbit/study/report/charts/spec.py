"""What all charts share: colours, shapes, axes, and the form of a specification.

Colours are variables of the style sheet, so a chart follows light, dark and print without being
drawn again.  Legends are part of the page, so they wrap on narrow screens.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Spec = dict[str, Any]
Values = list[dict[str, Any]]

N_COLORS = 8
_SYMLOG_TICKS = (-500, -200, -100, -50, -20, -10, -5, 0, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
GLYPHS = dict(zip(SHAPES, "●■▲◆✚▼", strict=True))
_GREY = ("random weights", "other", "several")
INK, QUIET, GRID = "var(--ink)", "var(--quiet)", "var(--line)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
CONFIG: Spec = {
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": QUIET,
        "titleColor": INK,
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "axisBand": {"grid": False, "labelColor": INK, "ticks": False, "labelPadding": 6},
    "point": {"filled": True, "size": 70, "opacity": 1},
    "line": {"strokeWidth": 1.8},
    "rule": {"strokeWidth": 1.6},
    "bar": {"discreteBandSize": {"band": 0.75}},
}


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend: a glyph in a colour, and its meaning."""

    glyph: str
    color: str
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure: one specification, or several of which the reader chooses one by its name."""

    title: str
    specs: Mapping[str, Spec]
    note: str = ""
    legend: tuple[Key, ...] = field(default_factory=tuple)
    is_wide: bool = False
    """Whether it takes the whole width."""
    group: str = ""
    """Charts of a group share one choice of the specification."""


def columns_of(charts: Sequence[Chart], most: int = 5) -> int:
    """Columns that leave no empty place behind the last chart, if some number does."""
    n = sum(not chart.is_wide for chart in charts)
    if n <= most:
        return max(n, 1)
    return next((columns for columns in range(most, 2, -1) if n % columns == 0), 4)


def color(i: int, name: str = "") -> str:
    """Colour of the i-th series; grey for a baseline and for a rest."""
    return QUIET if name in _GREY else f"var(--s{i % N_COLORS + 1})"


def shape(i: int) -> str:
    """Shape of the i-th series."""
    return SHAPES[i % len(SHAPES)]


def color_scale(names: Sequence[str]) -> Spec:
    """Colours of the names, in this order in every chart."""
    return {"domain": list(names), "range": [color(i, name) for i, name in enumerate(names)]}


def shape_scale(names: Sequence[str]) -> Spec:
    """Shapes of the names."""
    return {"domain": list(names), "range": [shape(i) for i in range(len(names))]}


def color_legend(names: Sequence[str], glyph: str = "●") -> tuple[Key, ...]:
    """Legend of colours."""
    return tuple(Key(glyph, color(i, name), name) for i, name in enumerate(names))


def shape_legend(names: Sequence[str]) -> tuple[Key, ...]:
    """Legend of shapes."""
    return tuple(Key(GLYPHS[shape(i)], INK, name) for i, name in enumerate(names))


def legend_of_both(names: Sequence[str]) -> tuple[Key, ...]:
    """Legend of names that have both a colour and a shape."""
    return tuple(Key(GLYPHS[shape(i)], color(i, name), name) for i, name in enumerate(names))


def chart_spec(description: str, height: int, **parts: Any) -> Spec:
    """A specification that is as wide as its place in the page."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": description,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG,
        **parts,
    }


def x_of(name: str, title: str, *, is_log: bool = False, **scale: Any) -> Spec:
    """A quantitative channel with few labels that do not overlap."""
    axis = {"labelOverlap": "greedy", "labelSeparation": 6, "tickCount": 5}
    if is_log:
        scale = {"type": "log", "nice": False, "padding": 16} | scale
        axis |= {"format": "~g", "tickCount": 6}
    else:
        scale = {"zero": False, "padding": 8} | scale
    return {"field": name, "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def symlog_of(name: str, title: str, values: Iterable[float]) -> Spec:
    """A channel of percentages around 0 over decades, with ticks within the values."""
    found = list(values)
    ticks = [tick for tick in _SYMLOG_TICKS if min(found) <= tick <= max(found)]
    scale = {"type": "symlog", "constant": 5, "zero": False, "padding": 8}
    axis = {"values": ticks or [0], "labelOverlap": "greedy", "labelSeparation": 6}
    return {"field": name, "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def intervals(values: Values, **encoding: Spec) -> list[Spec]:
    """A layer with the intervals `low` to `high` of the values that have one; none without any."""
    some = [value for value in values if value["low"] is not None and value["high"] is not None]
    if not some:
        return []
    ends = {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}}
    return [
        {
            "data": {"values": some},
            "mark": {"type": "rule", "opacity": 0.6},
            "encoding": encoding or ends,
        }
    ]


def line_at(channel: str, value: float, *, text: str = "", is_dashed: bool = False) -> Spec:
    """A line across the chart, which takes no channel from its other layers."""
    across = "y" if channel == "x" else "x"
    field = {"field": "at", "type": "quantitative"}
    nothing = dict.fromkeys((across, f"{across}Offset", "color"))
    return {
        "data": {"values": [{"at": value, "text": text}]},
        "mark": {"type": "rule", "stroke": QUIET, **({"strokeDash": [3, 3]} if is_dashed else {})},
        "encoding": {
            channel: field,
            **nothing,
            "tooltip": hover(("text", "value")) if text else None,
        },
    }


def band(name: str, order: Sequence[str], **more: Any) -> Spec:
    """A nominal channel along an axis, in a given order."""
    axis = {"title": None, "labelLimit": 150}
    return {"field": name, "type": "nominal", "sort": list(order), "axis": axis, **more}


def colored(name: str, names: Sequence[str]) -> Spec:
    """The channel of colour, without a legend in the chart."""
    return {"field": name, "type": "nominal", "scale": color_scale(names), "legend": None}


def shaped(name: str, names: Sequence[str]) -> Spec:
    """The channel of shape, without a legend in the chart."""
    return {"field": name, "type": "nominal", "scale": shape_scale(names), "legend": None}


def hover(*fields: tuple[str, str]) -> list[Spec]:
    """What hovering shows: pairs of field and title; texts and numbers as they are."""
    return [{"field": name, "title": title} for name, title in fields]


def needs_log(values: Iterable[float]) -> bool:
    """Whether positive values span a decade or more."""
    found = list(values)
    return bool(found) and min(found) > 0 and max(found) / min(found) >= 10


def short_names(encoders: Sequence[str]) -> dict[str, str]:
    """Returns the names without their common suffix, for example without `-tiny`."""
    if len(encoders) < 2:
        return {encoder: encoder for encoder in encoders}
    ending = os.path.commonprefix([encoder[::-1] for encoder in encoders])[::-1]
    shared = ending[ending.index("-") :] if "-" in ending else ""
    return {encoder: encoder.removesuffix(shared) for encoder in encoders}
