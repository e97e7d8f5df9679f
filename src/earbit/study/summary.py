"""The summary of a study as text: a row for each encoder and plan, with all tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit.study.graph import NO_PLAN, UNTRAINED
from earbit.study.report.warnings import grouped
from earbit.study.verdicts import is_at_chance
from earbit.terminal import printable
from earbit.text_table import aligned
from earbit.upstream.names import FBANK

Record = Mapping[str, Any]
MARK = "!"
"""Behind a score that is at chance, or worse than random weights."""


def summary(results: Record, out_dir: Path) -> str:
    """Table of costs, times and scores, then what is left out, failed and doubtful."""
    lines = aligned(_table(results))
    seconds = results["settings"]["scale_settings"]["seconds"]
    lines += [
        "",
        f"MB: program file; GBOP: estimated; ms: measured, {seconds:g} s of audio, one thread; "
        "x: PyTorch in fp32 over it; tasks: mean over the seeds"
        f"; {MARK}: at chance, or worse than random weights",
    ]
    for task, reason in results["settings"]["left_out"].items():
        lines.append(f"{task} is left out: {reason}")
    groups = grouped(results["warnings"], len(results["settings"]["seeds"]))
    lines += [f"WARNING {text}: {', '.join(rows)}" for text, rows in groups]
    failed = [step for step in results["steps"] if step["state"] == "failed"]
    lines += [f"FAILED {step['id']}: {step['error']}" for step in failed]
    names = [n for n in ("report.html", "results.json") if (out_dir / n).exists()]
    lines.append(", ".join(printable(str(out_dir / name)) for name in names))
    return "\n".join(lines)


def _table(results: Record) -> list[list[str]]:
    tasks = results["settings"]["tasks"]
    arrows = {s["task"]: ("↑" if s["higher_is_better"] else "↓") for s in results["scores"]}
    metrics = {s["task"]: s["metric"] for s in results["scores"]}
    head = ["encoder", "plan", "MB", "GBOP", "ms", "x"]
    heads = [f"{task} {metrics.get(task, '')} {arrows.get(task, '')}".strip() for task in tasks]
    rows = [head + heads]
    settings = results["settings"]
    pairs = [(e, p) for e in settings["encoders"] for p in (*settings["plans"], UNTRAINED)]
    for encoder, plan in (*pairs, (FBANK, NO_PLAN)):
        scores = [s for s in results["scores"] if (s["encoder"], s["plan"]) == (encoder, plan)]
        costs = _costs(results, encoder, plan)
        if scores or any(costs):
            doubted = {w["task"] for w in _of(results["warnings"], encoder, plan)}
            cells = [_cell([s for s in scores if s["task"] == t], t in doubted) for t in tasks]
            rows.append([encoder, plan, *costs, *cells])
    return rows


def _costs(results: Record, encoder: str, plan: str) -> list[str]:
    """Cells of file, operations, time, and speed-up over PyTorch."""
    export = _of(results["export"], encoder, plan)
    cost = _of(results["cost"], encoder, plan)
    times = _of(results["times"], encoder, plan)
    ours = next((t["median_ms"] for t in times if t["engine"] == "earbit"), None)
    torch = next((t["median_ms"] for t in times if t["engine"] == "torch"), None)
    return [
        f"{export[0]['bytes'] / 1e6:.2f}" if export else "",
        f"{cost[0]['bops'] / 1e9:.1f}" if cost else "",
        f"{ours:.1f}" if ours else "",
        f"{torch / ours:.1f}" if ours and torch else "",
    ]


def _of(records: Sequence[Record], encoder: str, plan: str) -> list[Record]:
    return [one for one in records if (one["encoder"], one["plan"]) == (encoder, plan)]


def _cell(scores: Sequence[Record], is_doubted: bool) -> str:
    values = [s["value"] for s in scores if s["value"] is not None]
    if not values:
        return ""
    is_marked = is_doubted or any(map(is_at_chance, scores))
    return f"{sum(values) / len(values):.3f}{MARK if is_marked else ''}"
