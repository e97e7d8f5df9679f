"""A picture of errors: heat maps of every model's modules, error against depth, encoders compared.

The same errors give the same bytes: no date, no random ids.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from earbit.errors import UnsupportedError
from earbit.files import write_whole
from earbit.quantize.propagation.interaction import Comparison, interaction_of
from earbit.quantize.propagation.parts import ALL, LAYERS, NOT_QUANTIZED
from earbit.quantize.propagation.report import Measured, comparisons_of, rows_of
from earbit.quantize.propagation.tables import db, signed

COLORS = {
    "front end": "#8a6d1f",
    "position": "#7b3fa0",
    "attention": "#2457a7",
    "convolution": "#c2571a",
    "feed-forward": "#2e7d4f",
    LAYERS: "#1c2530",
    NOT_QUANTIZED: "#9aa5b1",
    ALL: "#b0306a",
}
LINE_COLORS = ("#2457a7", "#c2571a", "#2e7d4f", "#7b3fa0", "#8a6d1f", "#b0306a")
LINE_STYLES = ("-", "--", "-.", ":")
INK = "#1c2530"
WORST_DB, BEST_DB = -10.0, 30.0
"""Ends of the colours, whose middle is 0 dB, as much noise as signal."""
EXACT_COLOR = "#e4e8ec"
LEGEND = {"fontsize": 7, "frameon": False}
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.02)}
MAX_NUMBERED_COLUMNS = 12
WIDTH_IN, ROW_IN, GAP_IN, BOTTOM_IN = 16.6, 0.2, 1.0, 3.4
"""Inches: of the figure, of a row of a heat map, between models, of the comparison."""
MIN_ROWS = 12
MAX_LETTERS = 28
MIN_FREE_DB = 1.0
"""Least half height of an axis around 0 dB, so that hundredths do not look large."""


def need_matplotlib() -> None:
    """Raises UnsupportedError without matplotlib, before any work is done for a figure."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UnsupportedError("a figure needs matplotlib: pip install 'earbit[report]'") from error


def write_figure(measured: Sequence[Measured], path: Path) -> None:
    """Draws all models into one file, SVG or PNG by its suffix; UnsupportedError if it cannot."""
    need_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    grids = [_grids(one) for one in measured]
    heights = [ROW_IN * max(len(outside), len(inside), MIN_ROWS) for outside, inside in grids]
    height = sum(heights) + GAP_IN * (len(measured) + 1) + BOTTOM_IN
    with rc_context({"svg.hashsalt": "earbit", "font.size": 8, "text.color": INK}):
        figure = Figure(figsize=(WIDTH_IN, height))

        # Places by hand: a layout engine's last bits, and with them the file's, vary by the run.
        def axes_at(left: float, top: float, width: float, tall: float) -> Any:
            place = (left / WIDTH_IN, 1 - (top + tall) / height, width / WIDTH_IN, tall / height)
            return figure.add_axes(place)

        top = GAP_IN * 2 / 3
        for one, (outside, inside), tall in zip(measured, grids, heights, strict=True):
            name = f"{_short(one.stack.name)}  {_short(one.stack.plan)}"
            figure.text(0.2 / WIDTH_IN, 1 - (top - 0.3) / height, name, fontsize=10, weight="bold")
            tops = [(grid, ROW_IN * len(grid)) for grid in (outside, inside)]
            image = None
            if outside:
                axes = axes_at(1.5, top, 1.2, tops[0][1])
                image = _heat(axes, outside, ["alone", "accumulated"])
                axes.set_title("outside the layers", loc="left")
            layers = [str(i) for i in range(one.stack.n_layers)]
            for left, which, title in (
                (5.0, 0, "each module alone, by layer"),
                (7.65, 1, "accumulated: all before it too"),
            ):
                if inside:
                    axes = axes_at(left, top, 2.5, tops[1][1])
                    cells = {row: [pair[which] for pair in pairs] for row, pairs in inside.items()}
                    image = _heat(axes, cells, layers)
                    axes.set_title(title, loc="left")
                    if which:
                        axes.set_yticks([])
            if image is not None:
                scale = axes_at(10.3, top, 0.12, tall)
                figure.colorbar(image, cax=scale)
                scale.set_title("SQNR, dB", loc="left", fontsize=7)
            _curves(axes_at(11.6, top, 3.1, tall), one)
            top += tall + GAP_IN
        _depth(axes_at(0.8, top, 3.8, BOTTOM_IN - 0.7), measured)
        _between(axes_at(5.6, top, 3.8, BOTTOM_IN - 0.7), measured)
        comparisons = comparisons_of(measured)
        if comparisons:
            _bars(axes_at(11.9, top, 3.4, BOTTOM_IN - 0.7), comparisons)
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        format_of = path.suffix.removeprefix(".")
        write_whole(
            path,
            lambda place: figure.savefig(place, format=format_of, dpi=110, metadata=metadata),
        )


Cells = dict[str, list[float]]
"""SQNR of the modules of a row, in the order of the columns."""


def _grids(one: Measured) -> tuple[Cells, dict[str, list[tuple[float, float]]]]:
    """Modules outside the layers, alone and accumulated; those of layers, both of every layer."""
    outside: Cells = {}
    inside: dict[str, list[tuple[float, float]]] = {}
    for module in one.errors.modules:
        pair = (module.alone.sqnr_db, module.accumulated.sqnr_db)
        name = module.name.removeprefix("encoder.")
        if module.layer is None:
            outside[name] = list(pair)
        else:
            row = name.removeprefix(f"layers.{module.layer}").removeprefix(".") or "whole layer"
            cells = inside.setdefault(row, [(math.nan, math.nan)] * one.stack.n_layers)
            cells[module.layer] = pair
    return outside, inside


def _heat(axes: Any, cells: Cells, columns: Sequence[str]) -> Any:
    """A row for each module; a column for each layer, or for alone and accumulated."""
    from matplotlib.colors import TwoSlopeNorm

    is_numbered = len(columns) <= MAX_NUMBERED_COLUMNS
    for y, values in enumerate(cells.values()):
        for x, value in enumerate(values):
            if math.isinf(value):
                axes.add_patch(_exact_cell(x, y))
            if is_numbered and not math.isnan(value):
                text = "exact" if value == math.inf else "-" if math.isinf(value) else db(value)
                is_pale = WORST_DB / 2 < value < BEST_DB / 2 or math.isinf(value)
                color = INK if is_pale else "w"
                axes.text(x, y, text, ha="center", va="center", fontsize=6, color=color)
    shown = [[v if math.isfinite(v) else math.nan for v in values] for values in cells.values()]
    norm = TwoSlopeNorm(0.0, WORST_DB, BEST_DB)
    image = axes.imshow(shown, cmap="RdBu", norm=norm, aspect="auto")
    axes.set_yticks(range(len(cells)), list(cells), fontsize=7)
    places = range(len(columns)) if is_numbered else [0, len(columns) - 1]
    axes.set_xticks(places, [columns[place] for place in places], fontsize=7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def _exact_cell(x: int, y: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=EXACT_COLOR, edgecolor="none")


def _curves(axes: Any, one: Measured) -> None:
    """SQNR of every state, by what is quantized; what is exact has no point."""
    for name, sums in rows_of(one.errors):
        if " + " in name:
            continue
        y = [s.sqnr_db if math.isfinite(s.sqnr_db) else math.nan for s in sums]
        style = "--" if name in (LAYERS, NOT_QUANTIZED, ALL) else "-"
        color = COLORS.get(name, "#555555")
        axes.plot(range(len(y)), y, style, color=color, label=name, marker=".", linewidth=1.5)
    axes.set_title("states, by what is quantized", loc="left")
    axes.set_ylabel("SQNR, dB")
    _depth_axis(axes, one.stack.n_layers)
    axes.legend(**LEGEND, **BESIDE)


def _depth(axes: Any, measured: Sequence[Measured]) -> None:
    """All encoders, with what is in their layers quantized; up is better, as in SQNR."""
    for i, one in enumerate(measured):
        sums = one.errors.states.get(LAYERS, [])
        errors = [s.log_error for s in sums]
        y = [-10 * math.log10(e) if 0 < e < math.inf else math.nan for e in errors]
        _line(axes, i, _short(one.stack.name), range(len(y)), y)
    axes.set_title("states, all in layers quantized", loc="left")
    axes.set_ylabel("1 over log error, dB")
    _depth_axis(axes, max(one.stack.n_layers for one in measured))
    axes.legend(**LEGEND)


def _between(axes: Any, measured: Sequence[Measured]) -> None:
    """Propagation between kinds after every layer; 0 dB is what independent noise does."""
    greatest = MIN_FREE_DB
    for i, one in enumerate(measured):
        found = interaction_of(one.errors)
        values = [] if found is None else found.propagation_db
        y = [math.nan if value is None else value for value in values]
        greatest = max([greatest, *(abs(value) for value in y if not math.isnan(value))])
        _line(axes, i, _short(one.stack.name), range(1, len(y) + 1), y)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_ylim(-1.15 * greatest, 1.15 * greatest)
    axes.set_title("propagation between kinds", loc="left")
    axes.set_ylabel("beyond independent noise, dB")
    _depth_axis(axes, max(one.stack.n_layers for one in measured))


def _bars(axes: Any, comparisons: Sequence[Comparison]) -> None:
    """Why mixed stacks have more error than attention-only ones."""
    parts = (("parts alone", "#9aa5b1"), ("within kinds", "#2457a7"), ("between kinds", "#c2571a"))
    for j, (label, color) in enumerate(parts):
        key = f"{label.split()[0]}_db"
        found = [getattr(one, key) for one in comparisons]
        widths = [value or 0.0 for value in found]
        rows = [i + 0.27 * (j - 1) for i in range(len(comparisons))]
        bars = axes.barh(rows, widths, height=0.25, color=color, label=label)
        axes.bar_label(bars, [signed(value) for value in found], padding=2, fontsize=7)
    names = [f"{_short(one.mixed)}\nover {_short(one.attention_only)}" for one in comparisons]
    for i, one in enumerate(comparisons):
        names[i] += f"\ncoherence beyond noise\nbetween kinds {signed(one.coherence_between)}"
    axes.set_yticks(range(len(comparisons)), names, fontsize=7)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.use_sticky_edges = False
    axes.margins(x=0.15)
    axes.set_title("more error of mixed stacks, last state", loc="left")
    axes.set_xlabel("dB; to the right is more error")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(**LEGEND, **BESIDE)


def _line(axes: Any, i: int, name: str, x: Sequence[int], y: Sequence[float]) -> None:
    axes.plot(
        x,
        y,
        color=LINE_COLORS[i % len(LINE_COLORS)],
        linestyle=LINE_STYLES[i % len(LINE_STYLES)],
        marker=".",
        label=name,
    )


def _short(name: str) -> str:
    """The end of a long path."""
    return name if len(name) <= MAX_LETTERS else f"...{name[3 - MAX_LETTERS :]}"


def _depth_axis(axes: Any, n_layers: int) -> None:
    """The encoder's input, then the output of every layer, which have the layers' numbers."""
    step = max(1, math.ceil(n_layers / 12))
    layers = range(0, n_layers, step)
    axes.set_xticks([0, *(i + 1 for i in layers)], ["input", *map(str, layers)])
    axes.set_xlabel("after layer")
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
