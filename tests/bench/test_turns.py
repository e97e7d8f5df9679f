"""Engines take turns, as often as was asked for or as time allows."""

import math
from contextlib import contextmanager

import pytest

from earbit.bench import turns as module
from earbit.bench.turns import N_WARM_UPS, take_turns


class Patient:
    """Counts its runs, and runs nothing."""

    def __init__(self):
        self.n = 0

    def run(self):
        self.n += 1
        return {"ms": self.n}


@pytest.fixture
def _few(monkeypatch):
    monkeypatch.setattr(module, "N_RUNS", 3)
    monkeypatch.setattr(module, "MIN_RUNS", 2)


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize(("budget_s", "n_runs"), [(math.inf, 3), (0.0, 2)])
def test_runs_are_fewer_when_time_is_over_but_not_too_few(monkeypatch, budget_s, n_runs):
    monkeypatch.setattr(module, "BUDGET_S", budget_s)
    turns = take_turns([Patient(), Patient()], None, "timing")
    first = 1 + N_WARM_UPS
    assert turns == [[{"ms": first + i}] * 2 for i in range(n_runs)]


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize("n_runs", [1, 7])
def test_a_number_of_runs_that_was_asked_for_holds_however_long_they_take(monkeypatch, n_runs):
    monkeypatch.setattr(module, "BUDGET_S", 0.0)
    assert len(take_turns([Patient()], n_runs, "timing")) == n_runs


def test_progress_counts_the_runs_and_names_the_warm_ups(monkeypatch):
    shown = []

    @contextmanager
    def progress(title, total):
        shown.append(total)
        yield lambda n=1, note="": shown.append((n, note))

    monkeypatch.setattr(module, "progress", progress)
    take_turns([Patient()], 3, "timing")
    warm_ups = [(0, f"(warm-up {i + 1} of {N_WARM_UPS})") for i in range(N_WARM_UPS)]
    assert shown == [3, *warm_ups, (0, ""), *[(1, "")] * 3]
