"""One figure of measured errors: modules by layer, and hidden states by what is quantized.

Equal errors give equal bytes: no date, no random ids, no automatic layout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from earbit.errors import UnsupportedError
from earbit.files import write_whole
from earbit.nn.roles import ROLES
from earbit.quantize.propagation.measure import Errors
from earbit.quantize.propagation.report import Measured, db, families_of, label, states_of

WORST_DB, BEST_DB = -10.0, 30.0
"""Ends of the color scale; 0 dB, its middle, is as much noise as signal."""
WIDTH_IN, ROW_IN, GAP_IN = 16.0, 0.2, 1.0
"""Inches: the figure, a row of a heat map, the space between two models."""
MIN_ROWS, MAX_NUMBERED_COLUMNS = 12, 12
COLORS = {name: f"C{i}" for i, name in enumerate((*ROLES, "layers", "all"))}


def need_matplotlib() -> None:
    """Raises UnsupportedError without matplotlib, before any work is done for a figure."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UnsupportedError("a figure needs matplotlib: pip install 'earbit[report]'") from error


def write_figure(measured: Sequence[Measured], path: Path) -> None:
    """Draws a row for every model into an SVG or PNG file."""
    need_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = [max(MIN_ROWS, len(families_of(one.errors))) for one in measured]
    height = sum(ROW_IN * n + GAP_IN for n in rows)
    with rc_context({"svg.hashsalt": "earbit", "font.size": 7}):
        figure = Figure(figsize=(WIDTH_IN, height))
        ratios = {"height_ratios": rows, "width_ratios": [1, 1, 1.2]}
        axes = figure.subplots(len(rows), 3, squeeze=False, gridspec_kw=ratios)
        top, bottom = 1 - 0.6 * GAP_IN / height, 0.4 * GAP_IN / height
        gap = GAP_IN / ROW_IN / (sum(rows) / len(rows))
        figure.subplots_adjust(0.2, bottom, 0.9, top, wspace=0.2, hspace=gap)
        for (alone, accumulated, states), one in zip(axes, measured, strict=True):
            alone.set_title(f"{one.subject.name}, {one.subject.plan}\nSQNR of modules alone, dB")
            _heat_map(alone, one.errors, "alone")
            accumulated.set_title("accumulated, dB")
            _heat_map(accumulated, one.errors, "accumulated")
            accumulated.set_yticks([])
            _curves(states, one.errors)
            states.sharey(axes[0][2])
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        write_whole(
            path,
            lambda place: figure.savefig(place, format=path.suffix[1:], dpi=110, metadata=metadata),
        )


def _heat_map(axes: Any, errors: Errors, which: str) -> None:
    """A row for every family of modules, a column for every layer."""
    from matplotlib.colors import TwoSlopeNorm

    families = families_of(errors)
    n_columns = max(map(len, families.values()))
    shown = [[math.nan] * n_columns for _ in families]
    for y, modules in enumerate(families.values()):
        for x, value in enumerate(getattr(module, which).sqnr_db for module in modules):
            shown[y][x] = value if math.isfinite(value) else math.nan
            if n_columns <= MAX_NUMBERED_COLUMNS:
                is_dark = value < WORST_DB / 2 or BEST_DB / 2 < value < math.inf
                color = "white" if is_dark else "black"
                axes.text(x, y, db(value), ha="center", va="center", fontsize=6, color=color)
    norm = TwoSlopeNorm(0.0, WORST_DB, BEST_DB)
    image = axes.imshow(shown, cmap="RdBu", norm=norm, aspect="auto")
    axes.set_yticks(range(len(families)), families)
    axes.set_xlabel("layer")
    axes.figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)


def _curves(axes: Any, errors: Errors) -> None:
    """SQNR of every hidden state; exact states have no point."""
    for name, states in states_of(errors).items():
        if name in COLORS:
            values = [one.sqnr_db if math.isfinite(one.sqnr_db) else math.nan for one in states]
            style = "--" if name in ("layers", "all") else "-"
            layers = range(-1, len(values) - 1)
            axes.plot(layers, values, style, color=COLORS[name], marker=".", label=label(name))
    axes.set_title("SQNR of hidden states by what is quantized, dB")
    axes.set_xlabel("output of layer; -1 is the input of the encoder")
    axes.grid(visible=True, alpha=0.25)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
