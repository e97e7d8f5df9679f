"""The report beside other engines: what is measured stays, and every point is in a table."""

import json
import sys
from pathlib import Path

import pytest

from earbit.errors import ConfigError, UnsupportedError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import peers as module  # noqa: E402

ASKED = {"plans": ["fp32", "w8a8", "w1a1"], "engines": ["torch"], "threads": [1]}


def record(engine, plan, median_ms):
    return {"engine": engine, "plan": plan, "median_ms": median_ms}


@pytest.fixture
def measured(monkeypatch):
    """Which lengths were measured; 3 s fails until it is forgiven."""
    seen = {"lengths": [], "fails": True}

    def bench(programs, *, seconds, threads, engines, model, folder):
        seen["lengths"].append(seconds)
        if seconds == 3 and seen["fails"]:
            raise UnsupportedError("engine torch ended")
        ours = [record("earbit", plan, {"fp32": 30.0, "w1a1": 5.0}[plan]) for plan in programs]
        return [*ours, record("torch", None, 40.0), record("onnxruntime", None, 20.0)]

    monkeypatch.setattr(module, "bench", bench)
    monkeypatch.setattr(module, "render_bench", str)
    monkeypatch.setattr(
        module, "exported", lambda *_: ({"fp32": Path(), "w1a1": Path()}, {"w8a8": "no such op"})
    )
    return seen


def measure(report, seconds, **changed):
    return module.measure(report, presets=["hubert-base"], seconds=seconds, **ASKED | changed)


def test_points_that_are_there_are_not_measured_again_and_those_that_failed_are(tmp_path, measured):
    report = tmp_path / "report.json"
    measure(report, [1.0, 3.0])
    measured["fails"] = False
    measure(report, [1.0, 3.0, 10.0])
    assert measured["lengths"] == [1, 3, 3, 10]
    points = json.loads(report.read_text())["points"]
    assert [(p["seconds"], "records" in p) for p in points] == [(1, True), (3, True), (10, True)]


def test_every_point_is_written_when_it_is_measured(tmp_path, measured, monkeypatch):
    report, once = tmp_path / "report.json", module.bench

    def ends_at_ten(programs, *, seconds, **others):
        if seconds == 10:
            raise KeyboardInterrupt
        return once(programs, seconds=seconds, **others)

    monkeypatch.setattr(module, "bench", ends_at_ten)
    with pytest.raises(KeyboardInterrupt):
        measure(report, [1.0, 10.0])
    assert [point["seconds"] for point in json.loads(report.read_text())["points"]] == [1]


@pytest.mark.parametrize("changed", [{"plans": ["w1a1"]}, {"engines": []}])
def test_a_report_of_something_else_is_not_gone_on_with(tmp_path, measured, changed):
    report = tmp_path / "report.json"
    measure(report, [1.0])
    with pytest.raises(ConfigError, match=r"report\.json: measured with other settings; give"):
        measure(report, [1.0], **changed)


def test_a_plan_wins_or_loses_against_the_fastest_engine_and_one_refused_says_why(
    tmp_path, measured
):
    lines = list(module.tables(measure(tmp_path / "report.json", [3.0, 10.0])))
    rows = [line for line in lines if line.startswith("| hubert-base")]
    assert rows == [
        "| hubert-base | 10 | 1 | onnxruntime | 20.0 |  | - | 4.00 |",
        "| hubert-base | 10 | 1 | onnxruntime | 20.0 | 1.50 | - |  |",
    ]
    assert "- `hubert-base` under `w8a8`: no such op" in lines
    assert "- not measured: ('hubert-base', 3.0, 1): engine torch ended" in lines
    assert lines[-1].endswith("<= 1.3: 1.5, MISSED")
