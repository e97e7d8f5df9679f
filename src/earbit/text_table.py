"""Tables in plain text."""

from __future__ import annotations

from collections.abc import Sequence

from earbit.terminal import printable


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
