"""Measurements under a clock that the test owns, and memory of processes of known size."""

import subprocess
import sys

import pytest

from earbit.cost.measure import MeasuredTime, measure, peak_rss_bytes
from earbit.errors import ConfigError

MB = 2**20


class Work:
    """A function whose calls take the given seconds, one after the other; the last repeats."""

    def __init__(self, *durations_s: float):
        self.durations_s = durations_s
        self.now_s = 0.0
        self.n_calls = 0

    def __call__(self) -> None:
        self.now_s += self.durations_s[min(self.n_calls, len(self.durations_s) - 1)]
        self.n_calls += 1

    def clock(self) -> float:
        return self.now_s


def test_the_first_call_warms_up_and_quantiles_lie_between_ranks():
    work = Work(100.0, 0.5, 0.1, 0.3, 0.2, 0.4)
    time = measure(work, min_runs=5, min_seconds=0, clock=work.clock)
    # Ranks 0.1 ... 0.5 s: the 10 % quantile lies 0.4 ranks above the first.
    assert time.median_ms == pytest.approx(300)
    assert time.p10_ms == pytest.approx(140)
    assert time.p90_ms == pytest.approx(460)
    assert time.n_runs == 5


def test_short_work_runs_until_the_time_is_reached():
    work = Work(0.25)
    assert measure(work, min_runs=2, min_seconds=2.0, clock=work.clock).n_runs == 8


def test_one_run_is_its_own_median_and_quantiles():
    work = Work(0.5)
    time = measure(work, min_runs=1, min_seconds=0, clock=work.clock)
    assert time == MeasuredTime(median_ms=500, p10_ms=500, p90_ms=500, n_runs=1)


@pytest.mark.parametrize(
    ("min_runs", "min_seconds"), [(0, 1.0), (1, -1.0), (1, float("nan")), (1, float("inf"))]
)
def test_limits_that_cannot_be_are_errors_before_anything_runs(min_runs, min_seconds):
    work = Work(1.0)
    with pytest.raises(ConfigError, match="min_runs"):
        measure(work, min_runs=min_runs, min_seconds=min_seconds, clock=work.clock)
    assert work.n_calls == 0


def peak_of_child(n_bytes: int) -> int:
    code = (
        "from earbit.cost.measure import peak_rss_bytes\n"
        f"held = bytearray(b'1') * {n_bytes}\n"
        "print(peak_rss_bytes())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return int(answer.stdout)


def test_memory_that_a_process_holds_is_in_its_peak():
    small, large = peak_of_child(1), peak_of_child(128 * MB)
    assert 120 * MB < large - small < 136 * MB


def test_a_process_does_not_inherit_the_peak_of_its_parent():
    held = bytearray(b"1") * (256 * MB)
    assert peak_rss_bytes() > len(held)
    assert peak_of_child(1) < 128 * MB
