"""Where results come from: versions, machine, digests, settings, steps and units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from earbit.study.report.charts.training import units_name
from earbit.study.report.numbers import digits
from earbit.study.report.rows import Record, Study, number

QUALITY = {
    "n_dead_units": "dead units",
    "entropy_bits": "entropy, bits",
    "phone_purity": "phone purity",
    "cluster_purity": "cluster purity",
    "pnmi": "PNMI",
}


def steps_in(study: Study, state: str) -> list[dict[str, str]]:
    """Names and errors of the steps in a state: `failed` or `not run`."""
    return [
        {"id": str(record.get("id", "")), "error": str(record.get("error") or "")}
        for record in study.table("steps")
        if record.get("state") == state
    ]


def unit_lines(study: Study) -> list[tuple[str, dict[str, str]]]:
    """Figures of each set of units, by their names."""
    lines = []
    for record in study.table("units"):
        figures = {"units": record.get("n_units"), "frames per second": record.get("rate_hz")}
        quality = record.get("quality")
        if isinstance(quality, Mapping):
            figures |= {title: number(quality, key) for key, title in QUALITY.items()}
        shown = {
            title: digits(value) if isinstance(value, float) else str(value)
            for title, value in figures.items()
            if value is not None
        }
        lines.append((units_name(record), shown))
    return lines


def provenance(study: Study) -> list[tuple[str, str]]:
    """Names and values, in the order of reading."""
    lines = [("earbit", str(study.results.get("earbit", "-")))]
    lines += [("created", str(study.results.get("created", "-")))]
    for part in ("machine", "settings", "corpus"):
        lines += _flat(part, study.part(part))
    lines += [
        (f"units, {units_name(r)}, labels", str(r["labels_digest"]))
        for r in study.table("units")
        if r.get("labels_digest")
    ]
    wall_s = sum(number(r, "wall_s") or 0.0 for r in study.table("steps"))
    n_steps = len(study.table("steps"))
    if n_steps:
        lines.append(("steps", f"{n_steps}, {digits(wall_s / 60)} minutes in all"))
    return lines


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    """Nested values as dotted names."""
    if isinstance(value, Mapping):
        return [line for key, inner in value.items() for line in _flat(f"{name}.{key}", inner)]
    text = value if isinstance(value, str) else json.dumps(value)
    return [(name, text)]


def name_of(study: Study) -> str:
    """Scale and corpus of a study, for headings."""
    settings: Record = study.part("settings")
    return f"{settings.get('scale', '?')} on {settings.get('corpus', '?')}"
