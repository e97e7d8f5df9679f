"""The whole way on a corpus of a minute: every stage runs, and a second call only reads results."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from earbit.audio.synthetic.build import SyntheticConfig, synthetic_corpus_folder
from earbit.errors import ConfigError
from earbit.study import run as module
from earbit.study.request import Request
from earbit.study.run import run_study
from earbit.study.scale import SCALES

SMALL = replace(
    SCALES["tiny"],
    encoders=("sparseformer-sw-tiny",),
    n_units=8,
    pretrain_steps=4,
    quantize_steps=(2,),
    batch_s=4.0,
    crop_s=2.0,
    heads={},
    head_steps=4,
    seconds=1.0,
    n_runs=2,
    engines=("torch",),
    propagation_clips=1,
    propagation_s=1.0,
)
CORPUS = SyntheticConfig(sentences_per_speaker=1, clips_per_keyword=1, other_word_clips=1)
SCHEMA = Path(__file__).parents[2] / "docs" / "results.schema.json"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("EARBIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    corpus = synthetic_corpus_folder(CORPUS)
    out_dir = tmp_path_factory.mktemp("study")

    def run(**changes):
        request = Request(scale_name="tiny", scale=SMALL, corpus=str(corpus), tasks=("ks", "qbe"))
        return run_study(replace(request, **changes), out_dir)

    yield run, out_dir, run()
    patch.undo()


def results_in(out_dir):
    return json.loads((out_dir / "results.json").read_text())


def test_results_follow_the_schema_and_have_every_table(study):
    _, out_dir, ended = study
    results = results_in(out_dir)
    jsonschema.validate(results, json.loads(SCHEMA.read_text()))
    assert "sparseformer-sw-tiny" in (out_dir / "report.html").read_text()
    assert ended.n_failed == 0, [s["error"] for s in results["steps"] if s["error"]]
    assert {step["state"] for step in results["steps"]} == {"done"}
    for name in ("units", "training", "cost", "export", "times", "ops", "propagation", "scores"):
        assert results[name], name
    assert [one["plan"] for one in results["training"]] == ["fp32", "w1a2", "w1a1"]
    assert {(one["encoder"], one["plan"]) for one in results["scores"]} == {
        ("fbank", "-"),
        ("sparseformer-sw-tiny", "random weights"),
        ("sparseformer-sw-tiny", "fp32"),
        ("sparseformer-sw-tiny", "w1a1"),
    }
    binary, full = ({one["plan"]: one for one in results["export"]}[p] for p in ("w1a1", "fp32"))
    assert binary["bytes"] < full["bytes"] / 4
    assert binary["agreement"]["bit_agreement"] > 0.999
    for one in results["times"]:
        assert one["engine"] in ("earbit", "torch")
    trained = [one for one in results["scores"] if one["plan"] in ("fp32", "w1a1")]
    for one in trained:
        assert one["packed_value"] == pytest.approx(one["value"], abs=0.05)


def test_tasks_without_labels_are_left_out_with_a_reason(study):
    _, out_dir, ended = study
    results = results_in(out_dir)
    assert results["settings"]["tasks"] == ["ks"]
    assert "queries" in results["settings"]["left_out"]["qbe"]
    assert "qbe is left out" in ended.text


def test_a_second_call_runs_no_step_and_gives_the_same_results(study):
    run, out_dir, _ = study
    before = results_in(out_dir)
    run()
    after = results_in(out_dir)
    for results in (before, after):
        del results["created"], results["wall_s_of_this_run"]
    assert before == after


def test_another_plan_runs_what_it_needs_and_no_training_of_the_first(study, capsys):
    run, out_dir, _ = study
    names = {str(path) for path in out_dir.rglob("pretrain-*")}
    run(scale=replace(SMALL, plans=("fp32", "w8a8")))
    assert {str(path) for path in out_dir.rglob("pretrain-*")} == names
    assert {one["plan"] for one in results_in(out_dir)["export"]} == {"fp32", "w8a8"}


def test_another_scale_in_the_folder_is_refused(study):
    run, _, _ = study
    with pytest.raises(ConfigError, match=r"holds a study with another scale \(tiny, here small\)"):
        run(scale_name="small")


def test_a_failing_stage_leaves_the_others_and_is_named(study, monkeypatch):
    run, out_dir, _ = study
    table = dict(module.function_of.__globals__["STAGES"])
    table["export"] = replace(table["export"], function="json:no_such_function")
    monkeypatch.setitem(module.function_of.__globals__, "STAGES", table)
    ended = run(scale=replace(SMALL, plans=("w4a4",)))
    results = results_in(out_dir)
    states = {step["stage"]: step["state"] for step in results["steps"] if step["plan"] == "w4a4"}
    assert states["export"] == "failed"
    assert states["packed"] == states["times"] == "not run"
    assert states["score"] == states["quantize"] == "done"
    assert (ended.n_failed, ended.is_bug) == (1, True)
    assert "FAILED export sparseformer-sw-tiny w4a4 seed 0: AttributeError" in ended.text
    with pytest.raises(SystemExit) as end:
        ended.check(out_dir)
    assert end.value.code == 1
