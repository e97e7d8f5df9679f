"""One figure of measured errors: modules by layer, and hidden states by what is quantized.

Equal errors give equal bytes: no date, no random ids.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from earbit.errors import UnsupportedError
from earbit.files import write_whole
from earbit.nn.roles import ROLES
from earbit.quantize.propagation.measure import Errors
from earbit.quantize.propagation.report import Measured, label, states_of

WORST_DB, BEST_DB = -10.0, 30.0
"""Ends of the color scale; 0 dB, its middle, is as much noise as signal."""
WIDTH_IN, ROW_IN, MIN_HEIGHT_IN = 14.0, 0.2, 3.0
"""Inches: the figure, a row of a heat map, a model."""
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

    heights = [max(MIN_HEIGHT_IN, 1 + ROW_IN * len(_rows(one.errors))) for one in measured]
    with rc_context({"svg.hashsalt": "earbit", "font.size": 7}):
        figure = Figure(figsize=(WIDTH_IN, sum(heights)), layout="constrained")
        axes = figure.subplots(
            len(heights), 3, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for (alone, accumulated, states), (subject, errors) in zip(axes, measured, strict=True):
            alone.set_title(f"{subject.name}, {subject.plan}\nSQNR of modules alone, dB")
            _heat_map(alone, errors, "alone")
            accumulated.set_title("SQNR of modules accumulated, dB")
            accumulated.sharey(alone)
            figure.colorbar(_heat_map(accumulated, errors, "accumulated"), ax=accumulated)
            _curves(states, errors)
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        write_whole(
            path,
            lambda place: figure.savefig(place, format=path.suffix[1:], dpi=110, metadata=metadata),
        )


def _rows(errors: Errors) -> list[str]:
    """Names of modules with a star for the layer, each once."""
    return list(dict.fromkeys(_starred(module.name) for module in errors.modules))


def _starred(name: str) -> str:
    return re.sub(r"\.\d+(?=\.|$)", ".*", name, count=1)


def _heat_map(axes: Any, errors: Errors, which: str) -> Any:
    """A column for every layer; exact modules have no color."""
    from matplotlib.colors import TwoSlopeNorm

    rows = _rows(errors)
    n_columns = 1 + max(module.layer or 0 for module in errors.modules)
    shown = [[math.nan] * n_columns for _ in rows]
    for module in errors.modules:
        value = getattr(module, which).sqnr_db
        if math.isfinite(value):
            shown[rows.index(_starred(module.name))][module.layer or 0] = value
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel("layer")
    norm = TwoSlopeNorm(0.0, WORST_DB, BEST_DB)
    return axes.imshow(shown, cmap="RdBu", norm=norm, aspect="auto")


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
    axes.legend()
