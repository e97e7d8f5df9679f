"""Numbers as text."""

from __future__ import annotations

import math

MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NO-BREAK SPACE}"
_IN_ITS_OWN_UNIT = frozenset({"mtwv"})
"""Metrics that are not shares."""


def digits(value: float, n: int = 3) -> str:
    """A value with `n` significant digits, without exponent between 0.0001 and 10 million."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    magnitude = math.floor(math.log10(abs(value)))
    if not -5 < magnitude < 7:
        return f"{value:.{n - 1}e}"
    text = f"{value:,.{max(n - 1 - magnitude, 0)}f}"
    return text.replace("-", MINUS)


def signed(value: float, decimals: int = 1) -> str:
    """A value with its sign; none for what rounds to zero."""
    text = f"{value:+z.{decimals}f}"
    return text.lstrip("+") if float(text) == 0 else text.replace("-", MINUS)


def change(ratio: float) -> str:
    """A ratio as a change in percent: 0.25 is -75 %, and 4 is +300 %."""
    percent = 100 * (ratio - 1)
    return f"{signed(percent, 1 if abs(percent) < 100 else 0)}{SPACE}%"


def times(ratio: float) -> str:
    """Formats a ratio as a factor, for example 4.1x."""
    return f"{digits(ratio, 2 if ratio < 10 else 3)}\N{MULTIPLICATION SIGN}"


def scale_of(metric: str) -> float:
    """Factor from a score to the value that is shown: 100 for shares."""
    return 1.0 if metric in _IN_ITS_OWN_UNIT else 100.0


def unit_of(metric: str) -> str:
    """Unit of a shown score, with a space in front; empty without one."""
    return "" if metric in _IN_ITS_OWN_UNIT else " %"


def score(metric: str, value: float) -> str:
    """A score without its unit."""
    text = f"{scale_of(metric) * value:.{1 if unit_of(metric) else 3}f}"
    return text.replace("-", MINUS)


def span(metric: str, low: float, high: float) -> str:
    """An interval of scores, without their unit."""
    return f"{score(metric, low)} to {score(metric, high)}"


def counted(n: int, noun: str) -> str:
    """A number with its noun in the singular or plural."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
