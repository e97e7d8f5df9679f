"""Text of a choice: the precision of every group, the front and the named plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earbit.text_table import aligned

N_SHOWN = 12
"""Rows of the front in the table, without its best plan; the evidence has all."""


def render(evidence: Mapping[str, Any]) -> str:
    """Renders the evidence as text; each group was quantized alone for its penalty."""
    parts = [
        f"penalty: {evidence['penalty']}, on {evidence['corpus']}",
        "ms: 10 s of audio on one thread.  MB: packed weights.",
        "",
        *_groups(evidence),
        "",
        *_plans(evidence),
    ]
    return "\n".join(parts)


def _groups(evidence: Mapping[str, Any]) -> list[str]:
    """A row for each group: chosen precision, its penalty and costs, and the penalties of all."""
    precisions = list(dict.fromkeys(p for g in evidence["groups"] for p in g["candidates"]))
    quantized = [precision for precision in precisions if precision != "w32a32"]
    rows = [("group", "chosen", "ms", "MB", *(f"penalty {p}" for p in quantized))]
    for group in evidence["groups"]:
        its = group["candidates"][group["chosen"]]
        penalties = (
            f"{group['candidates'][p]['penalty']:.3g}" if p in group["candidates"] else "-"
            for p in quantized
        )
        row = (group["group"], _shown(group["chosen"]), f"{its['ms']:.2f}", f"{its['mb']:.3f}")
        rows.append((*row, *penalties))
    rest = evidence["rest"]
    blank = ("-",) * len(quantized)
    rows.append(("all else", "-", f"{rest['ms']:.2f}", f"{rest['mb']:.3f}", *blank))
    return aligned(rows)


def _plans(evidence: Mapping[str, Any]) -> list[str]:
    """Rows of the front, of named plans, and of the chosen plan."""
    chosen, front = evidence["chosen"], evidence["front"]
    step = max(1, -(-len(front) // N_SHOWN))
    rows = [("plan", "ms", "MB", "penalty")]
    rows += [_row("front, estimated", one) for one in (*front[:-1:step], front[-1])]
    rows += [_row(f"{one['plan']}, estimated", one) for one in evidence["named"]]
    rows.append(_row("chosen, estimated", chosen["estimated"]))
    rows.append(_row("chosen, measured", chosen["measured"]))
    return aligned(rows)


def _row(title: str, one: Mapping[str, float]) -> tuple[str, str, str, str]:
    return title, f"{one['ms']:.2f}", f"{one['mb']:.3f}", f"{one['penalty']:.3g}"


def _shown(precision: str) -> str:
    return "fp32" if precision == "w32a32" else precision
