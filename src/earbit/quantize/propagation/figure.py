"""One figure of measured errors: modules by layer, hidden states by depth, encoders compared.

Equal errors give equal bytes: no date, no random ids, no automatic layout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from earbit.errors import UnsupportedError
from earbit.files import write_whole
from earbit.quantize.propagation.interaction import Comparison
from earbit.quantize.propagation.measure import Errors
from earbit.quantize.propagation.report import Measured, comparisons_of, states_of
from earbit.quantize.propagation.tables import db, families_of, label, signed

WORST_DB, BEST_DB = -10.0, 30.0
"""Ends of the color scale; 0 dB, its middle, is as much noise as signal."""
WIDTH_IN, ROW_IN, GAP_IN = 16.0, 0.2, 1.0
"""Inches: the figure, a row of a heat map, the space between two models."""
MIN_ROWS, MAX_NUMBERED_COLUMNS = 12, 12
SHARES = {"alone_db": "alone", "within_db": "within roles", "between_db": "between roles"}


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

    comparisons = comparisons_of(measured)
    rows = [max(MIN_ROWS, len(families_of(one.errors))) for one in measured]
    rows += [4 + 3 * len(comparisons)] if comparisons else []
    height = sum(ROW_IN * n + GAP_IN for n in rows)
    with rc_context({"svg.hashsalt": "earbit", "font.size": 7}):
        figure = Figure(figsize=(WIDTH_IN, height))
        ratios = {"height_ratios": rows, "width_ratios": [1, 1, 1.2]}
        axes = figure.subplots(len(rows), 3, squeeze=False, gridspec_kw=ratios)
        figure.subplots_adjust(
            left=0.2,
            right=0.9,
            top=1 - 0.6 * GAP_IN / height,
            bottom=0.4 * GAP_IN / height,
            hspace=GAP_IN * len(rows) / (height - GAP_IN * len(rows)),
            wspace=0.25,
        )
        for (alone, accumulated, states), one in zip(axes, measured, strict=False):
            name = f"{one.stack.name}, {one.stack.plan}"
            _heat_map(alone, one.errors, "alone")
            alone.set_title(f"{name}\nSQNR of modules alone, dB, by layer", loc="left")
            _heat_map(accumulated, one.errors, "accumulated")
            accumulated.set_title("accumulated", loc="left")
            accumulated.set_yticks([])
            _curves(states, one.errors)
        if comparisons:
            _bars(axes[-1][0], comparisons)
            axes[-1][1].set_axis_off()
            axes[-1][2].set_axis_off()
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
        for x, module in enumerate(modules):
            value = getattr(module, which).sqnr_db
            shown[y][x] = value if math.isfinite(value) else math.nan
            if n_columns <= MAX_NUMBERED_COLUMNS:
                is_pale = not WORST_DB / 2 > value and not BEST_DB / 2 < value < math.inf
                color = "black" if is_pale else "white"
                axes.text(x, y, db(value), ha="center", va="center", fontsize=6, color=color)
    norm = TwoSlopeNorm(0.0, WORST_DB, BEST_DB)
    image = axes.imshow(shown, cmap="RdBu", norm=norm, aspect="auto")
    axes.set_yticks(range(len(families)), families)
    axes.figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)


def _curves(axes: Any, errors: Errors) -> None:
    """SQNR of every hidden state, by what is quantized; exact states have no point."""
    for name, sums in (states_of(errors.groups) | {"all": errors.student}).items():
        if "+" not in name:
            values = [one.sqnr_db if math.isfinite(one.sqnr_db) else math.nan for one in sums]
            style = "--" if name in ("layers", "all") else "-"
            axes.plot(range(len(values)), values, style, marker=".", label=label(name))
    axes.set_title("SQNR of hidden states, dB, by what is quantized", loc="left")
    axes.set_xlabel("0: input of the encoder, n: output of layer n - 1")
    axes.grid(visible=True, alpha=0.25)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _bars(axes: Any, comparisons: Sequence[Comparison]) -> None:
    """Why mixed encoders have more error than attention-only ones."""
    for i, (key, name) in enumerate(SHARES.items()):
        found = [getattr(one, key) for one in comparisons]
        places = [place + 0.27 * (i - 1) for place in range(len(comparisons))]
        bars = axes.barh(places, [value or 0.0 for value in found], height=0.25, label=name)
        axes.bar_label(bars, [signed(value) for value in found], padding=2)
    names = [
        f"{one.mixed}\nover {one.attention_only}\nnet coherence between roles "
        f"{signed(one.net_coherence_between)}"
        for one in comparisons
    ]
    axes.set_yticks(range(len(comparisons)), names)
    axes.invert_yaxis()
    axes.set_title("error of the mixed encoder over attention-only, dB", loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1.05, 1.0), frameon=False)
