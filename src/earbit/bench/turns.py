"""Alternates engines, A B A B, so that drifts of the machine's speed affect them equally."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from earbit.progress import progress

N_RUNS = 15
N_WARM_UPS = 2
MIN_RUNS = 5
BUDGET_S = 120.0
"""Time in s after which no turn beyond MIN_RUNS begins, to limit runs on long audio."""


class Engine(Protocol):
    """A process that can be run repeatedly."""

    def run(self) -> dict[str, Any]:
        """Figures of one run."""


def take_turns(
    engines: Sequence[Engine], n_runs: int | None, title: str
) -> list[list[dict[str, Any]]]:
    """Figures of every engine and run in alternating order, without warm-ups.

    n_runs: number of turns; None is N_RUNS, or fewer if they exceed BUDGET_S.
    """
    n_turns = n_runs or N_RUNS
    turns: list[list[dict[str, Any]]] = []
    start_s = time.monotonic()
    with progress(title, n_turns) as advance:
        for i in range(N_WARM_UPS):
            advance(0, f"(warm-up {i + 1} of {N_WARM_UPS})")
            for engine in engines:
                engine.run()
        advance(0)
        while len(turns) < n_turns:
            is_late = time.monotonic() - start_s > BUDGET_S
            if n_runs is None and is_late and len(turns) >= MIN_RUNS:
                break
            turns.append([engine.run() for engine in engines])
            advance()
    return turns
