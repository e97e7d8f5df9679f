"""Tables in plain text, CSV, HTML and LaTeX."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Collection, Sequence

from earbit.terminal import printable

STYLE = (
    "body{font:16px system-ui;margin:2em}table{border-collapse:collapse}"
    "td,th{padding:.3em .8em;text-align:right;border-bottom:1px solid #ccc}"
    "td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}"
    "thead th{border-bottom:2px solid #666;vertical-align:bottom}"
    ".published{color:#666;font-style:italic}"
)
LATEX = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "[": "{[}",  # after \\ it would begin an option
    }
)
"""Characters that LaTeX takes for commands."""


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligns labels left and figures right, with terminal control characters escaped."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def as_html(
    rows: Sequence[Sequence[str]], title: str, note: str, published: Collection[int]
) -> str:
    """A page with a table, whose first row is the header; published: indices of rows in italics."""
    head, *body = (
        "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
        for tag, row in zip(["th", *["td"] * len(rows)], rows, strict=False)
    )
    lines = "\n".join(
        f"<tr{' class=published' if i in published else ''}>{row}</tr>"
        for i, row in enumerate(body, start=1)
    )
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n'
        f"<style>{STYLE}</style>\n<h1>{title}</h1>\n<table>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{lines}\n</tbody></table>\n<p>{note}</p></html>\n"
    )


def as_latex(rows: Sequence[Sequence[str]], note: str) -> str:
    """A `tabular` with the rules of the package booktabs; the note is a comment above it."""
    head, *body = (" & ".join(cell.translate(LATEX) for cell in row) + r" \\" for row in rows)
    columns = "ll" + "r" * (len(rows[0]) - 2)
    return "\n".join(
        [
            rf"% \usepackage{{booktabs}}  {note}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )
