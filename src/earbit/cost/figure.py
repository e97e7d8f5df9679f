"""A figure of cost profiles: cost by role, and growth with the length of audio.

Without date and random ids, so that equal records give equal bytes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

from earbit.cost.profile import PARTS
from earbit.extras import imported
from earbit.nn.roles import label_of

PART_COLORS = (
    "#c2571a",
    "#b0306a",
    "#e2b04a",
    "#2457a7",
    "#2e7d4f",
    "#7b3fa0",
    "#8a6d1f",
    "#9aa5b1",
)
LINE_COLORS = ("#2457a7", "#c2571a", "#2e7d4f", "#7b3fa0", "#8a6d1f", "#b0306a")
LINE_STYLES = ("-", "--", "-.", ":")
MIN_BARS = 6
INK = "#1c2530"


def draw(records: Sequence[dict[str, Any]], by_length: Sequence[dict[str, Any]]) -> str:
    """Draws an SVG element: fractions of BOPs per model and plan, MACs per model and length.

    records: from `to_json`, of one length;  by_length: from `macs_by_length`.
    Raises UnsupportedError without matplotlib.
    """
    imported("matplotlib", "report", "a figure")
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    models = list({record["name"]: record for record in records}.values())
    height = max(5.0, 1.6 + 0.3 * len(records) + 0.1 * len(models))
    with rc_context({"svg.hashsalt": "earbit", "font.size": 9, "text.color": INK}):
        layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, hspace=0.06)
        figure = Figure(figsize=(12, height), layout=layout)
        grid = figure.add_gridspec(2, 2, height_ratios=(0.8 + 0.3 * len(models), 3.2))
        bops = figure.add_subplot(grid[:, 0])
        _bars(bops, records, "bops", is_share=True)
        macs = figure.add_subplot(grid[0, 1])
        _bars(macs, models, "macs", is_share=False)
        _lines(figure.add_subplot(grid[1, 1]), by_length)
        handles, labels = bops.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]


def _bars(axes: Any, records: Sequence[dict[str, Any]], key: str, *, is_share: bool) -> None:
    """Draws a bar for each record from the top down, coloured by role, with its total."""
    names = list(dict.fromkeys(record["name"] for record in records))
    # A gap between models.
    rows = [i + 0.4 * names.index(record["name"]) * is_share for i, record in enumerate(records)]
    totals = [record[key] for record in records]
    unit, word = (1e12, "TBOP") if key == "bops" else (1e9, "GMAC")
    scales = [100 / total if is_share else 1 / unit for total in totals]
    left = [0.0] * len(records)
    for part, color in zip(PARTS, PART_COLORS, strict=True):
        widths = [r["groups"][part][key] * s for r, s in zip(records, scales, strict=True)]
        if not any(widths):
            continue
        axes.barh(rows, widths, left=left, color=color, label=label_of(part), height=0.72)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for row, end, total in zip(rows, left, totals, strict=True):
        axes.annotate(
            f"{f'{total / unit:#.3g}'.rstrip('.')} {word}",
            (end, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    labels = [f"{r['name']}  {r['plan']}" if is_share else r["name"] for r in records]
    axes.set_yticks(rows, labels)
    # From the top down, with a limited height of few bars.
    axes.set_ylim(max(rows[-1], MIN_BARS - 1 if is_share else 0) + 0.6, -0.6)
    seconds = f"for {records[0]['seconds']:g} s"
    axes.set_xlabel(f"share of BOPs {seconds}, %" if is_share else f"GMAC {seconds}")
    axes.set_xlim(0, max(left) * 1.2)
    if is_share:
        axes.set_xticks(range(0, 101, 20))
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _lines(axes: Any, by_length: Sequence[dict[str, Any]]) -> None:
    """Draws MACs per second of audio, which is constant for linear growth."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    lowest, highest = math.inf, 0.0
    for i, row in enumerate(by_length):
        y = [n / 1e9 / s for n, s in zip(row["macs"], row["seconds"], strict=True)]
        lowest, highest = min(lowest, *y), max(highest, *y)
        axes.plot(
            row["seconds"],
            y,
            color=LINE_COLORS[i % len(LINE_COLORS)],
            linestyle=LINE_STYLES[i % len(LINE_STYLES)],
            label=row["name"],
            linewidth=1.8,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    # Wide enough that constant lines look level.
    axes.set_ylim(lowest / 2, highest * 2)
    axes.set_xticks([1, 10, 60, 600], ["1 s", "10 s", "1 min", "10 min"])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("length of audio")
    axes.set_ylabel("GMAC per second of audio")
    axes.grid(visible=True, alpha=0.25)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
