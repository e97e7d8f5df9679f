"""Times of the ops of a run, and how near they are to the ceiling of this CPU."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from earbit import _core


class OpTime(NamedTuple):
    """Time of one op of a run."""

    op: str
    seconds: float
    chain: int
    """Ops with the same number ran together, block of rows by block of rows."""
    products: float
    """Multiply-adds; 0 for an op whose time is not that of products."""
    of_ceiling: float | None
    """Products per second, divided by the rate of the kernel on operands in L1 (roofline); None for
    an op without products.  Above 1, the clock rate has changed since the ceiling was measured."""


def op_times(
    times: Iterable[tuple[str, int, float, float, str]], threads: int
) -> tuple[OpTime, ...]:
    """The times of `_core.Program.profile` on so many threads."""
    return tuple(
        OpTime(
            op,
            seconds,
            chain,
            products,
            products / seconds / (threads * _ceilings()[operands])
            if operands and seconds > 0
            else None,
        )
        for op, chain, seconds, products, operands in times
    )


def render_times(times: Iterable[OpTime]) -> str:
    """The times as text, a line for each op: milliseconds, products per second, and the ceiling."""
    lines = [f"{'op':24}{'ms':>10}{'GMAC/s':>10}{'of ceiling':>12}"]
    for time in times:
        line = f"{time.op:24}{1e3 * time.seconds:>10.3f}"
        if time.of_ceiling is not None:
            line += f"{time.products / time.seconds / 1e9:>10.1f}{time.of_ceiling:>12.0%}"
        lines.append(line)
    return "\n".join(lines)


@cache
def _ceilings() -> dict[str, float]:
    return _core.ceilings()
