"""Warnings of a study, by what they say, each with the rows that it is about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from earbit.study.report.numbers import score, unit_of
from earbit.study.report.rows import Record, Study, number

Groups = list[tuple[str, list[str]]]


def grouped(warnings: Iterable[Record], n_seeds: int) -> Groups:
    """Texts of warnings with the rows that they are about, and the numbers of each row."""
    groups: dict[str, list[str]] = defaultdict(list)
    for record in warnings:
        row = " ".join(str(v) for k in ("encoder", "plan") if (v := record.get(k)) is not None)
        seed, numbers = record.get("seed"), record.get("numbers")
        if row and seed is not None and n_seeds > 1:
            row += f" seed {seed}"
        if row and numbers:
            row += f" ({numbers})"
        about = groups[str(record.get("about") or record.get("text", ""))]
        if row and row not in about:
            about.append(row)
    return list(groups.items())


def warning_groups(study: Study) -> Groups:
    """All warnings of a study; also of programs that score unlike their models."""
    packed = [found for one in study.table("scores") if (found := _packed_differs(one))]
    return grouped([*study.table("warnings"), *packed], len(study.seeds))


def _packed_differs(record: Record) -> Record | None:
    """A warning if the program scores outside the interval of the model that it was made of."""
    packed, value = number(record, "packed_value"), number(record, "value")
    ends = record.get("interval")
    if packed is None or value is None or not isinstance(ends, list) or len(ends) != 2:
        return None
    if ends[0] <= packed <= ends[1]:
        return None
    metric = str(record.get("metric", ""))
    where = {name: record.get(name) for name in ("encoder", "plan", "seed")}
    return where | {
        "about": f"{record.get('task')}: the exported program does not score as its model",
        "numbers": f"{score(metric, packed)} against {score(metric, value)}{unit_of(metric)}",
    }
