"""Times that are known, and memory of processes of known size."""

import os
import subprocess
import sys

import pytest

from earbit.bench.measure import MeasuredTime, peak_rss_bytes

MB = 2**20


def test_quantiles_lie_between_ranks():
    time = MeasuredTime.of([500, 100, 300, 200, 400])
    # Ranks 100 ... 500 ms: the 10 % quantile lies 0.4 ranks above the first.
    assert time.median_ms == pytest.approx(300)
    assert time.p10_ms == pytest.approx(140)
    assert time.p90_ms == pytest.approx(460)


def test_one_run_is_its_own_median_and_quantiles():
    assert MeasuredTime.of([500]) == MeasuredTime(median_ms=500, p10_ms=500, p90_ms=500)


def peak_of_child(n_bytes: int) -> int:
    code = (
        "from earbit.bench.measure import peak_rss_bytes\n"
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


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no way to pin a process here")
def test_a_pinned_process_keeps_as_many_processors_as_asked_for_and_always_the_same():
    code = (
        "import os; from earbit.bench.measure import pin_to_cores; pin_to_cores(1);"
        "kept = os.sched_getaffinity(0); pin_to_cores(8); print(*kept, *os.sched_getaffinity(0))"
    )
    said = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    once, again = (answer.stdout.split() for answer in said)
    assert once == again
    assert len(once) == 2
    assert once[0] == once[1]
    assert int(once[0]) in os.sched_getaffinity(0)
