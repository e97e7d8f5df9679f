"""The report of a study: a self-contained page with a table and two plots."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from earbit.cost.figure import draw
from earbit.extras import imported
from earbit.files import write_text

MARKERS = {"fp32": "o", "w1a1": "s"}
COLORS = ("#2457a7", "#c2571a", "#2e7d4f", "#7b3fa0", "#8a6d1f", "#b0306a")


def write_report(results: dict[str, Any], path: Path) -> None:
    """Writes `results` as a self-contained HTML page; UnsupportedError without matplotlib."""
    rows = table_rows(results)
    ks = results["rows"][0]["ks"]
    chance = commonest_share([counts["test"] for counts in ks["splits"]["classes"].values()])
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("earbit.study", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("old_report.html.j2").render(
        results=results,
        rows=rows,
        cost_plot=draw([row["cost"] for row in results["rows"]], results["cost_by_length"]),
        ks=ks,
        chance=chance,
        unit_chance=commonest_share(results["corpus"]["units"]["histogram"]),
        time_plot=_scatter(rows, "time_ms", "measured time, ms (one thread)", chance),
        storage_plot=_scatter(rows, "file_mb", "program file, MB", chance),
    )
    write_text(path, page)


def table_rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table: one flat record per model and plan, with ratios to the first row."""
    rows = []
    for row in results["rows"]:
        cost = row["cost"]
        ours, torch_fp32 = row["bench"]
        rows.append(
            {
                "name": row["name"],
                "plan": row["plan"],
                "parameters": cost["parameters"],
                "file_mb": row["export"]["bytes"] / 1e6,
                "gmacs": cost["macs"] / 1e9,
                "gflops": cost["flops"] / 1e9,
                "gbops": cost["bops"] / 1e9,
                "estimate_us": 1e3 * cost["estimate_ms"]["a100-fp32"],
                "time_ms": ours["median_ms"],
                "spread_ms": f"{ours['p10_ms']:.1f}-{ours['p90_ms']:.1f}",
                "rtf": ours["rtf"],
                "peak_mb": ours["peak_rss_bytes"] / 1e6,
                "torch_ms": torch_fp32["median_ms"],
                "speed_up": torch_fp32["median_ms"] / ours["median_ms"],
                "score": row["ks"]["value"],
                "score_interval": interval(row["ks"]["value"], row["ks"]["n_test"]),
                "packed_score": row["ks"].get("packed_value"),
                "unit_accuracy": row["training"]["result"]["valid_accuracy"],
                "bits_equal": bits_equal(row["export"]["agreement"]),
                "output_cosine": row["export"]["agreement"]["output_cosine"],
            }
        )
    for row in rows:
        for key in ("file_mb", "gflops", "gbops", "time_ms"):
            row[f"{key}_ratio"] = row[key] / rows[0][key]
    return rows


def bits_equal(agreement: dict[str, Any]) -> str:
    """Fraction of bits equal to PyTorch's. A dash for a program without bits."""
    if agreement["worst_leaf"] == "none":
        return "-"
    return f"{100 * agreement['bit_agreement']:.4f} %"


def commonest_share(counts: Sequence[int]) -> float:
    """Score of always predicting the most frequent class."""
    return max(counts) / sum(counts)


def interval(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval of an accuracy over `n` clips (Wilson score interval)."""
    z = 1.96
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


def _scatter(rows: list[dict[str, Any]], x_key: str, x_label: str, chance: float) -> str:
    """SVG of keyword accuracy against one cost, with a colour per model and a shape per plan."""
    imported("matplotlib", "report", "the report")
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    axes = figure.add_subplot()
    names = list(dict.fromkeys(row["name"] for row in rows))
    for name, color in zip(names, COLORS * len(names), strict=False):
        points = [row for row in rows if row["name"] == name]
        x, y = [p[x_key] for p in points], [100 * p["score"] for p in points]
        axes.plot(x, y, color=color, linewidth=1, alpha=0.5, label=name)
        for point, x_value, y_value in zip(points, x, y, strict=True):
            marker = MARKERS.get(point["plan"], "^")
            axes.scatter([x_value], [y_value], color=color, marker=marker, s=60, zorder=3)
            axes.annotate(
                point["plan"],
                (x_value, y_value),
                xytext=(0, -15),
                ha="center",
                textcoords="offset points",
                fontsize=8,
                color=color,
            )
    axes.axhline(100 * chance, color="#5b6773", linewidth=1, linestyle=":")
    axes.annotate(
        "most frequent class",
        (0.01, 100 * chance),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8,
        color="#5b6773",
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="both", labelsize=8)
    axes.set_xlabel(x_label)
    axes.set_ylabel("keyword spotting, accuracy %")
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.margins(0.15, 0.2)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2, fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.StringIO()
    # Without date and random ids, so that equal results give equal bytes.
    with rc_context({"svg.hashsalt": "earbit"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]
