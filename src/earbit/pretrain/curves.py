"""Curves of trainings from their log.jsonl: a figure of several runs, and their last values."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from earbit.errors import ConfigError, DataError
from earbit.extras import imported
from earbit.files import make_folder, write_whole
from earbit.pretrain.run_log import LOG_NAME
from earbit.text_table import aligned

COLORS = ("#2457a7", "#c2571a", "#2e7d4f", "#7b3fa0", "#8a6d1f", "#b0306a", "#5a6b7a", "#1b9aaa")
INK = "#1c2530"
N_RAW = 150
"""Longer curves are smoothed over 4 % of their points, and drawn above their raw values."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram: a curve of each run, and a second, dashed one."""

    title: str
    names: tuple[str, ...]
    """The first of these scalars that a run has."""
    dashed: str = ""
    dotted: str = ""
    """Drawn for the first run that has it: it is nearly equal in runs on the same units."""
    note: str = ""
    is_log: bool = False
    is_share: bool = False
    is_smooth: bool = True


PANELS = (
    Panel(
        "Training loss (cross-entropy of masked frames)",
        ("cross_entropy", "loss"),
        dashed="unmasked_cross_entropy",
        note="dashed: unmasked frames",
    ),
    Panel(
        "Training accuracy on masked frames",
        ("accuracy",),
        dashed="unmasked_accuracy",
        dotted="commonest_unit",
        note="dashed: unmasked frames, dotted: share of the commonest unit",
        is_share=True,
    ),
    Panel(
        "Validation loss",
        ("valid_cross_entropy", "valid_loss"),
        dashed="valid_unmasked_cross_entropy",
        note="dashed: unmasked frames",
    ),
    Panel(
        "Validation accuracy on masked frames",
        ("valid_accuracy",),
        dotted="commonest_unit",
        note="dotted: share of the commonest unit",
        is_share=True,
    ),
    Panel("Learning rate", ("lr",), is_smooth=False),
    Panel("Gradient norm before clipping", ("gradient_norm",), is_log=True),
)
REPORTED = ("loss", "accuracy", "valid_loss", "valid_accuracy", "lr")


@dataclass(frozen=True, slots=True)
class RunCurves:
    """Scalars of one run by step."""

    name: str
    lines: tuple[Mapping[str, float], ...]

    def points(self, scalar: str) -> tuple[list[float], list[float]]:
        """Steps and finite values of a scalar."""
        pairs = [
            (line["step"], line[scalar])
            for line in self.lines
            if scalar in line and math.isfinite(line[scalar])
        ]
        return [step for step, _ in pairs], [value for _, value in pairs]

    def first_of(self, names: Sequence[str]) -> str | None:
        """The first scalar that the run has."""
        return next((name for name in names if self.points(name)[0]), None)

    def last(self) -> dict[str, float]:
        """Last value of every scalar."""
        values: dict[str, float] = {}
        for line in self.lines:
            values |= line
        return values


def curves(folders: Sequence[Path], out: Path | None) -> dict[str, Any]:
    """Draws the runs in `folders` to a PNG; returns the last values of every run.

    Every log.jsonl in or below a folder is a run.  Raises ConfigError for an `out` that is no .png,
    DataError for a folder without a line of a log, and UnsupportedError without matplotlib.
    """
    if out is not None and out.suffix.lower() != ".png":
        raise ConfigError(f"{out}: a figure of curves is a .png file")
    runs = [run for folder in folders for run in runs_in(folder)]
    if out is not None:
        make_folder(out.parent)
        picture = draw(runs)
        write_whole(out, partial(_write_bytes, picture))
    return {
        "figure": None if out is None else str(out),
        "runs": {run.name: run.last() for run in runs},
    }


def runs_in(folder: Path) -> list[RunCurves]:
    """Reads all runs in or below a folder; raises DataError if there is none with a line."""
    logs = sorted(folder.rglob(LOG_NAME))
    if not logs:
        raise DataError(f"{folder}: no {LOG_NAME} in or below it; give the --out of a training")
    runs = [RunCurves(str(log.parent), tuple(read_log(log))) for log in logs]
    if not any(run.lines for run in runs):
        raise DataError(f"{folder}: {LOG_NAME} has no line yet; wait for train.log_every_steps")
    return [run for run in runs if run.lines]


def read_log(path: Path) -> list[Mapping[str, float]]:
    """Lines of a log with their numbers; a last line that is not complete yet is left out.

    Raises DataError, naming the line, for any other line that is not one of a log.
    """
    try:
        texts = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    lines: list[Mapping[str, float]] = []
    for i, text in enumerate(texts[:-1]):  # the last one has no line break yet, or is empty
        try:
            values = json.loads(text)
            if not isinstance(values.get("step"), int):
                raise ValueError("no step")
        except (ValueError, AttributeError) as error:
            raise DataError(f"{path}, line {i + 1}: not a line of a log ({error})") from error
        lines.append(_numbers(values))
    return lines


def _numbers(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            numbers |= _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float):
            numbers[prefix + name] = value
    return numbers


def render_curves(result: Mapping[str, Any]) -> str:
    """Table of the last values, for a terminal."""
    rows = [["run", "step", *REPORTED]]
    for name, values in result["runs"].items():
        rows.append(
            [
                name,
                f"{values['step']:,.0f}",
                *(f"{values[key]:.4g}" if key in values else "-" for key in REPORTED),
            ]
        )
    figure = [] if result["figure"] is None else [f"the figure is {result['figure']}"]
    return "\n".join([*aligned(rows), *figure])


def draw(runs: Sequence[RunCurves]) -> bytes:
    """PNG of all panels that at least one run has values for."""
    imported("matplotlib", "report", "a figure")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = [panel for panel in PANELS if any(run.first_of(panel.names) for run in runs)]
    n_columns = min(2, len(panels))
    n_rows = math.ceil(len(panels) / n_columns)
    style: Any = {
        "font.size": 10,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with rc_context(style):
        figure = Figure(figsize=(12, 0.7 + 3.1 * n_rows), layout="constrained")
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
        axes = list(grid.flat)
        for axis, panel in zip(axes, panels, strict=False):
            _draw_panel(axis, panel, runs)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        handles = [
            figure.axes[0].plot([], [], color=COLORS[i % len(COLORS)], linewidth=2)[0]
            for i in range(len(runs))
        ]
        figure.legend(
            handles,
            _labels([run.name for run in runs]),
            loc="outside upper left",
            ncols=min(len(runs), 4),
            frameon=False,
        )
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _draw_panel(axis: Any, panel: Panel, runs: Sequence[RunCurves]) -> None:
    from matplotlib.ticker import PercentFormatter

    for i, run in enumerate(runs):
        color = COLORS[i % len(COLORS)]
        if (name := run.first_of(panel.names)) is not None:
            _draw_curve(axis, *run.points(name), color=color, is_smooth=panel.is_smooth)
        if run.first_of((panel.dashed,)) is not None:
            _draw_curve(axis, *run.points(panel.dashed), color=color, style="--")
    for run in runs:
        if run.first_of((panel.dotted,)) is not None:
            _draw_curve(axis, *run.points(panel.dotted), color=INK, style=":")
            break
    note = f"\n{panel.note}" if axis.lines and panel.note else ""
    axis.set_title(f"{panel.title}{note}")
    axis.set_xlabel("step")
    axis.grid(alpha=0.25)
    if panel.is_log:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("{x:g}")
    elif panel.is_share:
        axis.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        axis.set_ylim(bottom=0)


def _draw_curve(
    axis: Any,
    steps: Sequence[float],
    values: Sequence[float],
    *,
    color: str,
    style: str = "-",
    is_smooth: bool = True,
) -> None:
    width, marker = 1.8 if style == "-" else 1.2, "o" if len(values) <= 2 else None
    if is_smooth and len(values) > N_RAW:
        axis.plot(steps, values, color=color, linewidth=0.6, alpha=0.25)
        values = _smooth(values, max(len(values) // 25, 5))
    axis.plot(steps, values, color=color, linewidth=width, linestyle=style, marker=marker)


def _smooth(values: Sequence[float], width: int) -> list[float]:
    """Mean of each value and its neighbours, `width` in all where there are as many."""
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    n, half = len(values), width // 2
    bounds = [(max(i - half, 0), min(i + half + 1, n)) for i in range(n)]
    return [(sums[end] - sums[start]) / (end - start) for start, end in bounds]


def _labels(names: Sequence[str]) -> list[str]:
    """Names without the folders that all share."""
    parts = [Path(name).parts for name in names]
    shared = 0
    while len(names) > 1 and len({one[: shared + 1] for one in parts}) == 1:
        shared += 1
    return [str(Path(*one[shared:])) if len(names) > 1 else one[-1] for one in parts]


def _write_bytes(content: bytes, path: Path) -> None:
    path.write_bytes(content)
