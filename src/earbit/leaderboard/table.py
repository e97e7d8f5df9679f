"""The table of several models beside published scores.

It is the table of results of SUPERB (arXiv 2105.01051), a row for each model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit.errors import ConfigError
from earbit.files import make_folder, write_text
from earbit.leaderboard.differences import add_differences, difference_lines
from earbit.leaderboard.published import PUBLISHED
from earbit.leaderboard.rows import COLUMNS, SIZES, merged, rows_of
from earbit.progress import say
from earbit.superb.report import in_percent, shown
from earbit.text_table import aligned, as_csv, as_html, as_latex

NOTE = (
    "Published scores are of the full corpora: compare them only with scores of these corpora by "
    "the protocol superb."
)
HIDDEN = ("corpora", "origin", "tested")
"""Fields of rows that are not printed."""


def compare(folders: Sequence[Path], out: Path | None) -> tuple[str, list[dict[str, Any]]]:
    """Table of the scores below output folders of `earbit superb`, and its rows.

    The text ends with the differences from the first model, where test clips are the same.  out: a
    .csv, .html or .tex file to write as well.  Folders of the same model share a row where they
    have scores of different tasks by the same protocol.  Raises ConfigError for a folder without
    scores and another suffix, FormatError for a damaged file.
    """
    if out is not None and out.suffix not in (".csv", ".html", ".tex"):
        raise ConfigError(f"{out}: a report is .csv, .html or .tex; give a name that ends so")
    rows = merged([row for folder in folders for row in rows_of(folder)])
    for title in COLUMNS:
        if len({row["corpora"][title] for row in rows if title in row}) > 1:
            say(f"{title}: scores of different corpora stand in one column; do not compare them")
    used = [title for title in (*SIZES, *COLUMNS) if any(title in row for row in rows)]
    add_differences(rows)
    found = [{k: v for k, v in row.items() if k not in HIDDEN} for row in rows]
    for row in found:
        row["protocol"] = "; ".join(sorted(row["protocol"] - {""}))
    found += [
        {"model": name, "protocol": "published", "intervals": {}, **values}
        for name, values in PUBLISHED.items()
    ]
    titles = ["model", "protocol", *(SIZES.get(t, in_percent(t)) for t in used)]
    cells = [
        titles,
        *(
            [r["model"], r["protocol"], *(_cell(r, t, with_interval=True) for t in used)]
            for r in found
        ),
    ]
    if out is not None:
        make_folder(out.parent)
        if out.suffix == ".csv":
            write_text(out, as_csv(_numbers(found, used)))
        elif out.suffix == ".html":
            published = range(len(rows) + 1, len(cells))
            write_text(out, as_html(cells, "SUPERB scores", NOTE, published))
        else:
            write_text(out, as_latex(cells, NOTE))
    return "\n".join((*aligned(cells), NOTE, *difference_lines(found[: len(rows)]))), found


def _numbers(rows: Sequence[Mapping[str, Any]], used: Sequence[str]) -> list[list[str]]:
    """Rows of a CSV file, which has the ends of each interval in columns of their own."""
    table = [["model", "protocol"], *([row["model"], row["protocol"]] for row in rows)]
    for title in used:
        name = SIZES.get(title, in_percent(title))
        table[0].append(name)
        for line, row in zip(table[1:], rows, strict=True):
            line.append(_cell(row, title))
        if any(title in row["intervals"] for row in rows):
            table[0] += [f"{name} {end} end of 95 % interval" for end in ("low", "high")]
            for line, row in zip(table[1:], rows, strict=True):
                ends = row["intervals"].get(title, ("", ""))
                line += [shown(title, end) if end != "" else "" for end in ends]
    return table


def _cell(row: Mapping[str, Any], title: str, *, with_interval: bool = False) -> str:
    if title not in row:
        return ""
    if title in SIZES:
        return f"{row[title] / 1e6:.4g}"
    between = row["intervals"].get(title) if with_interval else None
    ends = "" if between is None else " [{}, {}]".format(*(shown(title, v) for v in between))
    return shown(title, row[title]) + ends
