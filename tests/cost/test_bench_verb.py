"""A row for every program and engine at every length and number of threads."""

from pathlib import Path

import pytest

from earbit.cost import bench_verb
from earbit.cost.bench_verb import bench_all, render_bench


def record(engine, plan, seconds, threads, median_ms, cosine=None, n_runs=15):
    return {
        "engine": engine,
        "plan": plan,
        "precision": "fp32",
        "seconds": seconds,
        "threads": threads,
        "median_ms": median_ms,
        "p10_ms": median_ms - 1,
        "p90_ms": median_ms + 1,
        "n_runs": n_runs,
        "rtf": median_ms / 1e3 / seconds,
        "peak_rss_bytes": 5_000_000,
        "cosine": cosine,
        "max_abs_error": None,
    }


@pytest.fixture
def asked(monkeypatch):
    """What was measured, in order; programs take 10 ms a second, engines twice that."""
    calls = []

    def bench(programs, *, seconds, threads, engines, model, folder):
        calls.append((seconds, threads, folder))
        ours = [record("earbit", plan, seconds, threads, 10 * seconds) for plan in programs]
        return ours + [record(e, None, seconds, threads, 20 * seconds, 0.5) for e in engines]

    monkeypatch.setattr(bench_verb, "bench", bench)
    return calls


def test_every_plan_and_engine_is_measured_at_every_length_and_number_of_threads(asked):
    text, result = bench_all(
        {"w1a1": Path("a"), "fp32": Path("b")},
        model=None,
        seconds=(1, 10, 1),
        threads=(1, 2),
        engines=("torch",),
    )
    assert [call[:2] for call in asked] == [(1, 1), (1, 2), (10, 1), (10, 2)]
    rows = [(r["plan"] or r["engine"], r["seconds"], r["threads"]) for r in result["records"]]
    assert rows == [
        (name, seconds, threads)
        for seconds in (1, 10)
        for threads in (1, 2)
        for name in ("w1a1", "fp32", "torch")
    ]
    assert result.keys() == {"machine", "versions", "records"}
    assert len(text.splitlines()) == 1 + len(rows) + 1


def test_files_of_engines_are_made_once_for_a_length(asked):
    bench_all({"": Path("a")}, model=None, seconds=(1, 10), threads=(1, 2), engines=())
    folders = [call[2] for call in asked]
    assert folders[0] == folders[1] != folders[2] == folders[3]
    assert not any(folder.exists() for folder in folders)


def test_ratios_are_to_the_first_row_of_the_same_point():
    text = render_bench(
        [
            record("earbit", "w1a1", 1, 1, 10),
            record("torch", None, 1, 1, 25, 1.0),
            record("earbit", "w1a1", 10, 1, 100, n_runs=5),
            record("torch", None, 10, 1, 150, 0.98765, n_runs=5),
        ]
    )
    _, *rows, note = [line.split() for line in text.splitlines()]
    assert [(row[-2], row[-1]) for row in rows] == [
        ("-", "1.00"),
        ("1.00000", "2.50"),
        ("-", "1.00"),
        ("0.98765", "1.50"),
    ]
    assert rows[0][:2] == ["earbit", "w1a1"]
    assert " ".join(note).startswith("measured: median of 5 to 15 runs")
