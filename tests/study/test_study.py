"""The whole way on a corpus of a minute: every stage runs, and a second call only reads results."""

import json
import re

import pytest

from earbit.audio.synthetic.build import SyntheticConfig, synthetic_corpus_folder
from earbit.errors import ConfigError
from earbit.study import scale
from earbit.study.run import run_study

SMALL = scale.Scale(
    n_units=8,
    pretrain_steps=4,
    quantize_steps=4,
    head_steps=4,
    batch_s=4.0,
    crop_s=2.0,
    seconds=1.0,
)
CORPUS = SyntheticConfig(sentences_per_speaker=1, clips_per_keyword=1, other_word_clips=1)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("EARBIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setitem(scale.SCALES, "tiny", SMALL)
    corpus = synthetic_corpus_folder(CORPUS)
    out_dir = tmp_path_factory.mktemp("study")
    names = ("sparseformer-dn-tiny",)

    def run(seed: int = 0) -> str:
        return run_study(str(corpus), names, scale="tiny", out_dir=out_dir, seed=seed)

    text = run()
    yield run, out_dir, text
    patch.undo()


@pytest.mark.pipeline
def test_a_study_writes_results_and_a_report_that_needs_nothing_else(study):
    _, out_dir, text = study
    results = json.loads((out_dir / "results.json").read_text())
    assert [(row["name"], row["plan"]) for row in results["rows"]] == [
        ("sparseformer-dn-tiny", "fp32"),
        ("sparseformer-dn-tiny", "w1a1"),
    ]
    for row in results["rows"]:
        assert 0 <= row["ks"]["value"] <= 1
        assert row["ks"]["packed_value"] == pytest.approx(row["ks"]["value"], abs=0.02)
        assert row["export"]["agreement"]["bit_agreement"] > 0.999
        assert [r["engine"] for r in row["bench"]] == ["earbit", "torch"]
        assert row["cost"]["unknown_ops"] == {}
    binary, full = results["rows"][1], results["rows"][0]
    assert binary["export"]["bytes"] < full["export"]["bytes"] / 4
    assert binary["cost"]["bops"] < full["cost"]["bops"] / 20
    page = (out_dir / "report.html").read_text()
    assert page.count("<svg") == 3
    assert "Cost by role" in page
    assert not re.search(r'(src|href)="http', page)
    assert "sparseformer-dn-tiny" in text


@pytest.mark.pipeline
def test_a_second_call_runs_no_stage_again(study, capsys):
    run, out_dir, _ = study
    stages = sorted(out_dir.rglob("*.json"))
    before = {path: path.stat().st_mtime_ns for path in stages if path.name == "train.json"}
    capsys.readouterr()
    run()
    assert ": train" not in capsys.readouterr().err
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())


@pytest.mark.pipeline
def test_a_study_interrupted_in_a_stage_goes_on_there(study, capsys):
    run, out_dir, _ = study
    done = out_dir / "sparseformer-dn-tiny" / "w1a1" / "bench.json"
    done.unlink()
    capsys.readouterr()
    run()
    said = capsys.readouterr().err
    assert "w1a1: bench" in said
    assert ": train" not in said
    assert done.exists()


@pytest.mark.pipeline
def test_other_settings_in_the_same_folder_are_refused(study):
    run, _, _ = study
    with pytest.raises(ConfigError, match="another seed"):
        run(seed=1)
