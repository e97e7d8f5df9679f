"""A row for every program and engine at every length and number of threads."""

from pathlib import Path

import pytest

from earbit.bench import verb as bench_verb
from earbit.bench.points import points_of
from earbit.bench.table import HEADER, LEGEND, NOT_COMPARED, render_bench
from earbit.bench.verb import bench_all
from earbit.errors import UnsupportedError


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

    def bench(programs, *, seconds, threads, engines, model, folder, n_runs):
        calls.append((seconds, threads, folder, n_runs))
        ours = [record("earbit", plan, seconds, threads, 10 * seconds) for plan in programs]
        return ours + [record(e, None, seconds, threads, 20 * seconds, 0.5) for e in engines]

    monkeypatch.setattr(bench_verb, "bench", bench)
    return calls


def kept_of(programs, seconds, threads, engines=(), n_runs=None):
    """What is kept of a measurement, and what ended it early."""
    kept = []
    points = points_of(seconds, threads)
    try:
        bench_all(
            programs,
            points,
            lambda *found: kept.append(found),
            model=None,
            engines=engines,
            n_runs=n_runs,
        )
    except BaseException as error:
        return kept, error
    return kept, None


def test_every_plan_and_engine_is_measured_at_every_length_and_number_of_threads(asked):
    programs = {"w1a1": Path("a"), "fp32": Path("b")}
    ((text, result),), _ = kept_of(programs, (1, 10, 1), (1, 2), ["torch"], n_runs=7)
    assert [(call[0], call[1], call[3]) for call in asked] == [
        (1, 1, 7),
        (1, 2, 7),
        (10, 1, 7),
        (10, 2, 7),
    ]
    rows = [(r["plan"] or r["engine"], r["seconds"], r["threads"]) for r in result["records"]]
    assert rows == [
        (name, seconds, threads)
        for seconds in (1, 10)
        for threads in (1, 2)
        for name in ("w1a1", "fp32", "torch")
    ]
    assert result.keys() == {"machine", "versions", "points", "points_asked_for", "records"}
    assert result["points"] == result["points_asked_for"] == 4
    assert len(text.splitlines()) == 1 + len(rows) + 2 + len(LEGEND)


def test_files_of_engines_are_made_once_for_a_length(asked):
    kept_of({"": Path("a")}, (1, 10), (1, 2))
    folders = [call[2] for call in asked]
    assert folders[0] == folders[1] != folders[2] == folders[3]
    assert not any(folder.exists() for folder in folders)


def test_every_one_of_several_points_is_said_when_it_is_finished(asked, capsys):
    kept_of({"w1a1": Path("a")}, (1,), (1, 2), ["torch"])
    assert capsys.readouterr().err.splitlines() == [
        "1 of 2 points measured: 1 s, 1 thread",
        "  earbit w1a1: 10.0 ms (9.0-11.0), 5 MB",
        "  torch: 20.0 ms (19.0-21.0), 5 MB",
        "2 of 2 points measured: 1 s, 2 threads",
        "  earbit w1a1: 10.0 ms (9.0-11.0), 5 MB",
        "  torch: 20.0 ms (19.0-21.0), 5 MB",
    ]
    kept_of({"w1a1": Path("a")}, (1,), (1,), ["torch"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UnsupportedError("engine ended")])
@pytest.mark.parametrize("n_done", [0, 1, 3])
def test_what_is_finished_is_kept_when_the_rest_fails(asked, monkeypatch, capsys, error, n_done):
    whole = bench_verb.bench

    def breaks_off(programs, **others):
        if len(asked) == n_done:
            raise error
        return whole(programs, **others)

    monkeypatch.setattr(bench_verb, "bench", breaks_off)
    kept, raised = kept_of({"w1a1": Path("a")}, (1, 10), (1, 2))
    assert raised is error
    assert [len(result["records"]) for _, result in kept] == [n_done] * bool(n_done)
    assert all((r["points"], r["points_asked_for"]) == (n_done, 4) for _, r in kept)
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == f"ended early: {n_done} of 4 points are measured and reported"


def test_ratios_are_to_the_first_row_of_the_same_point():
    text = render_bench(
        [
            record("earbit", "w1a1", 1, 1, 10),
            record("torch", None, 1, 1, 25, 1.0),
            record("earbit", "w1a1", 10, 1, 100, n_runs=5),
            record("torch", None, 10, 1, 150, 0.98765, n_runs=5),
        ]
    )
    rows = [line.split() for line in text.splitlines()[1:5]]
    assert [(row[-2], row[-1]) for row in rows] == [
        ("-", "1.00"),
        ("1.00000", "2.50"),
        ("-", "1.00"),
        ("0.98765", "1.50"),
    ]
    assert rows[0][:2] == ["earbit", "w1a1"]
    assert text.splitlines()[5] == "measured: 5 to 15 run(s) of each, in turn"


def test_engines_with_other_weights_than_the_program_are_named_so():
    def text(of_ours, *peers):
        return render_bench([record("earbit", None, 1, 1, 10, of_ours), *peers])

    torch = record("torch", None, 1, 1, 25, 1.0)
    assert NOT_COMPARED in text(None, torch)
    assert NOT_COMPARED not in text(0.99, torch)
    assert NOT_COMPARED not in text(None)


def test_every_column_that_is_no_plain_word_is_explained():
    explained = {line.partition(": ")[0] for line in LEGEND}
    plain = {"engine", "seconds", "threads", "median ms", "p10-p90 ms"}
    assert explained == set(HEADER) - plain
