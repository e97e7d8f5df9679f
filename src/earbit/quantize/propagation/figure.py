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
from earbit.quantize.propagation.interaction import interaction_of
from earbit.quantize.propagation.parts import ALL, LAYERS, NOT_QUANTIZED
from earbit.quantize.propagation.report import Measured, comparisons_of, family_of, rows_of

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
WIDTH_IN, ROW_IN, GAP_IN, BOTTOM_IN = 16.6, 0.2, 0.9, 3.0
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

    grids = [_families(one) for one in measured]
    heights = [ROW_IN * max(len(families), MIN_ROWS) for families in grids]
    height = sum(heights) + GAP_IN * (len(measured) + 1) + BOTTOM_IN
    with rc_context({"svg.hashsalt": "earbit", "font.size": 8, "text.color": INK}):
        figure = Figure(figsize=(WIDTH_IN, height))

        # Places by hand: a layout engine's last bits, and with them the file's, vary by the run.
        def axes_at(left: float, top: float, width: float, tall: float) -> Any:
            place = (left / WIDTH_IN, 1 - (top + tall) / height, width / WIDTH_IN, tall / height)
            return figure.add_axes(place)

        top = GAP_IN / 2
        for one, families, tall in zip(measured, grids, heights, strict=True):
            alone, accumulated = axes_at(3.2, top, 3.8, tall), axes_at(7.2, top, 3.8, tall)
            _heat(alone, families, is_alone=True)
            image = _heat(accumulated, families, is_alone=False)
            accumulated.set_yticks([])
            alone.set_title(
                f"{_short(one.stack.name)}  {_short(one.stack.plan)}: each module alone", loc="left"
            )
            accumulated.set_title("accumulated: all before it too", loc="left")
            scale = axes_at(11.1, top, 0.12, tall)
            figure.colorbar(image, cax=scale)
            scale.set_title("SQNR, dB", loc="left", fontsize=7)
            _curves(axes_at(12.4, top, 2.9, tall), one)
            top += tall + GAP_IN
        _depth(axes_at(0.8, top, 3.8, BOTTOM_IN), measured)
        _between(axes_at(5.6, top, 3.8, BOTTOM_IN), measured)
        _bars(axes_at(11.6, top, 3.7, BOTTOM_IN), measured)
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        format_of = path.suffix.removeprefix(".")
        write_whole(
            path,
            lambda place: figure.savefig(place, format=format_of, dpi=110, metadata=metadata),
        )


def _families(one: Measured) -> dict[str, dict[int, tuple[float, float]]]:
    """SQNR alone and accumulated of every module, by its starred name and its index."""
    families: dict[str, dict[int, tuple[float, float]]] = {}
    for module in one.errors.modules:
        family, index = family_of(module.name)
        pair = (module.alone.sqnr_db, module.accumulated.sqnr_db)
        families.setdefault(family.removeprefix("encoder."), {})[index] = pair
    return families


def _heat(axes: Any, families: dict[str, dict[int, tuple[float, float]]], *, is_alone: bool) -> Any:
    """A row for each module, a column for each layer (or convolution of the front end)."""
    from matplotlib.colors import TwoSlopeNorm

    n_columns = max(max(cells) for cells in families.values()) + 1
    shown = [[math.nan] * n_columns for _ in families]
    for y, cells in enumerate(families.values()):
        for x, pair in cells.items():
            value = pair[0 if is_alone else 1]
            if math.isfinite(value):
                shown[y][x] = value
            else:
                axes.add_patch(_exact_cell(x, y))
            if n_columns <= MAX_NUMBERED_COLUMNS:
                text = f"{round(value)}" if math.isfinite(value) else "exact" if value > 0 else "-"
                is_pale = WORST_DB / 2 < value < BEST_DB / 2 or not math.isfinite(value)
                color = INK if is_pale else "w"
                axes.text(x, y, text, ha="center", va="center", fontsize=6.5, color=color)
    norm = TwoSlopeNorm(0.0, WORST_DB, BEST_DB)
    image = axes.imshow(shown, cmap="RdBu", norm=norm, aspect="auto")
    axes.set_yticks(range(len(families)), list(families), fontsize=7)
    axes.set_xticks(range(n_columns) if n_columns <= MAX_NUMBERED_COLUMNS else [0, n_columns - 1])
    axes.set_xlabel("layer (of the front end: convolution)")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def _exact_cell(x: int, y: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=EXACT_COLOR, edgecolor="none")


def _curves(axes: Any, one: Measured) -> None:
    """Noise over signal of every state, by what is quantized; what is exact has no point."""
    for name, sums in rows_of(one.errors):
        if " + " in name:
            continue
        y = [-s.sqnr_db if math.isfinite(s.sqnr_db) else math.nan for s in sums]
        style = "--" if name in (LAYERS, NOT_QUANTIZED, ALL) else "-"
        color = COLORS.get(name, "#555555")
        axes.plot(range(len(y)), y, style, color=color, label=name, marker=".", linewidth=1.5)
    axes.set_title("error against depth, by what is quantized", loc="left")
    axes.set_ylabel("noise over signal, dB")
    _depth_axis(axes, one.stack.n_layers)
    axes.legend(**LEGEND, **BESIDE)


def _depth(axes: Any, measured: Sequence[Measured]) -> None:
    """The error of all encoders, with what is in their layers quantized."""
    for i, one in enumerate(measured):
        sums = one.errors.states.get(LAYERS, [])
        errors = [s.log_error for s in sums]
        y = [10 * math.log10(e) if 0 < e < math.inf else math.nan for e in errors]
        _line(axes, i, _short(one.stack.name), range(len(y)), y)
    axes.set_title("error of the states, layers quantized", loc="left")
    axes.set_ylabel("log error, dB")
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


def _bars(axes: Any, measured: Sequence[Measured]) -> None:
    """Why mixed stacks have more error than attention-only ones."""
    comparisons = comparisons_of(measured)
    parts = (("parts alone", "#9aa5b1"), ("within kinds", "#2457a7"), ("between kinds", "#c2571a"))
    for j, (label, color) in enumerate(parts):
        key = f"{label.split()[0]}_db"
        widths = [getattr(one, key) or 0.0 for one in comparisons]
        rows = [i + 0.27 * (j - 1) for i in range(len(comparisons))]
        bars = axes.barh(rows, widths, height=0.25, color=color, label=label)
        axes.bar_label(bars, [f"{width:+.2f}" for width in widths], padding=2, fontsize=7)
    names = [f"{_short(one.mixed)}\nover {_short(one.attention_only)}" for one in comparisons]
    for i, one in enumerate(comparisons):
        like = one.coherence_between
        text = "undefined" if like is None else f"{like:+.2f}"
        names[i] += f"\ncoherence between kinds {text}"
    axes.set_yticks(range(len(comparisons)), names, fontsize=7)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.use_sticky_edges = False
    axes.margins(x=0.15)
    axes.set_title("more error of mixed stacks, last state", loc="left")
    axes.set_xlabel("dB" if comparisons else "no pair of one depth, width and plan")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    if comparisons:
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
    step = max(1, math.ceil(n_layers / 12))
    axes.set_xticks(range(0, n_layers + 1, step))
    axes.set_xlabel("layers passed (0: the encoder's input)")
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
