"""Figure of measured errors: heat maps of modules and curves of hidden states.

The file has no date and no random ids, so equal errors give equal bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from earbit.files import write_whole
from earbit.nn.leaves import starred
from earbit.nn.roles import ROLES
from earbit.quantize.propagation.measure import Errors
from earbit.quantize.propagation.report import Measured, label, states_of

WORST_DB, BEST_DB = -10.0, 30.0
"""Limits of the color scale; at 0 dB, its middle, noise and signal have equal power."""
COLORS = {name: f"C{i}" for i, name in enumerate((*ROLES, "layers", "all"))}


def write_figure(measured: Sequence[Measured], path: Path) -> None:
    """Plots a row for every model to an SVG or PNG file."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    heights_in = [1.5 + 0.2 * len(_rows_of(errors)) for _, errors in measured]
    with rc_context({"svg.hashsalt": "earbit", "font.size": 7}):
        figure = Figure(figsize=(14.0, sum(heights_in)), layout="constrained")
        ratios = {"height_ratios": heights_in, "width_ratios": [1, 1, 1.5]}
        axes = figure.subplots(len(measured), 3, squeeze=False, gridspec_kw=ratios)
        for row, (subject, errors) in zip(axes, measured, strict=True):
            row[0].set_title(f"{subject.name}, {subject.plan}: modules alone")
            row[1].set_title("modules accumulated")
            _heat_map(row[0], errors, "alone")
            image = _heat_map(row[1], errors, "accumulated")
            row[1].tick_params(labelleft=False)
            figure.colorbar(image, ax=row[:2], label="SQNR, dB")
            _curves(row[2], errors)
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        file_format = path.suffix[1:]
        write_whole(path, lambda to: figure.savefig(to, format=file_format, metadata=metadata))


def _rows_of(errors: Errors) -> list[str]:
    """Rows of a heat map: module names with a star in place of the layer index."""
    return list(dict.fromkeys(starred(module.name) for module in errors.modules))


def _heat_map(axes: Any, errors: Errors, which: str) -> Any:
    """Plots a heat map with a column per layer; exact modules have no color."""
    from matplotlib.colors import TwoSlopeNorm

    rows = _rows_of(errors)
    shown = [[math.nan] * (1 + max(one.layer or 0 for one in errors.modules)) for _ in rows]
    for one in errors.modules:
        value = getattr(one, which).sqnr_db
        if math.isfinite(value):
            shown[rows.index(starred(one.name))][one.layer or 0] = value
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel("layer")
    norm = TwoSlopeNorm(0.0, WORST_DB, BEST_DB)
    return axes.imshow(shown, cmap="RdBu", norm=norm, aspect="auto")


def _curves(axes: Any, errors: Errors) -> None:
    """Plots the SQNR of every hidden state; exact states have no point."""
    for name, states in states_of(errors).items():
        if name in COLORS:
            values = [one.sqnr_db if math.isfinite(one.sqnr_db) else math.nan for one in states]
            style = "--" if name in ("layers", "all") else "-"
            layers = range(-1, len(values) - 1)
            axes.plot(layers, values, style, color=COLORS[name], marker=".", label=label(name))
    axes.set_title("hidden states, by what is quantized")
    axes.set(xlabel="layer; -1 is the input of the encoder", ylabel="SQNR, dB")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
