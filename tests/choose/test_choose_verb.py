"""`earbit choose` from end to end on a small model."""

import functools
import json

import pytest
import soundfile

from earbit.choose import built, inputs, solve, times
from earbit.choose.judges import StateDistance
from earbit.choose.solve import Budget
from earbit.choose.verb import choose_plan
from earbit.cli.main import main
from earbit.errors import ConfigError, DataError
from earbit.load import load_model, random_model
from earbit.model_file import save_model
from earbit.nn.leaves import leaves_of
from earbit.quantize.plan import plan_named
from earbit.quantize.student import noise_clips, quantized_copy
from earbit.superb.verb import score_model
from earbit.superb.work import Settings


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Times of half a second of audio; how exact they are is of no interest here."""
    monkeypatch.setattr(times, "SECONDS", 0.5)
    monkeypatch.setattr(times, "N_TURNS", 1)
    monkeypatch.setattr(built, "SECONDS", 0.5)
    monkeypatch.setattr(built, "N_RUNS", 3)
    monkeypatch.setattr(solve, "N_FRONT", 5)
    short = functools.partial(score_model, settings=Settings(n_steps=20, lrs=(1e-2,)))
    monkeypatch.setattr(inputs, "score_model", short)


def choose(model, corpus, budget, out=None, **options):
    options = {"precisions": ("w1a1", "w8a8"), "n_clips": 2, **options}
    if "task" not in options:
        options["seconds"] = 0.5
    return choose_plan(str(model), str(corpus), budget, out=out, **options)


def test_the_plan_is_written_with_evidence_and_fits_the_budget(
    small_folder, small_model, tones, tmp_path
):
    out = tmp_path / "plans" / "mine.json"
    text, evidence = choose(small_folder, tones, Budget(mb=0.06), out)
    found = plan_named(str(out)).precisions(leaves_of(small_model))
    for group in evidence["groups"]:
        assert {str(found[leaf]) for leaf in group["leaves"]} == {group["chosen"]}
    measured, estimated = evidence["chosen"]["measured"], evidence["chosen"]["estimated"]
    assert measured["mb"] <= 0.06
    assert evidence["clips"] == 2
    assert evidence["calibration"] == {"clips": 16, "on_compared_clips": False}
    assert estimated["mb"] == pytest.approx(measured["mb"], rel=0.1)
    assert measured["ms"] > 0
    assert 0 < measured["penalty"] < 10
    assert json.loads((out.parent / "mine.evidence.json").read_text()) == evidence
    assert {one["plan"] for one in evidence["named"]} >= {"fp32", "w8a8", "w1a1", "w1a1-encoder"}
    assert str(out) in text
    # A smaller budget has a greater penalty, and nothing is measured again.
    (record,) = out.parent.glob("measurements-*.json")
    before = record.stat().st_mtime_ns
    _, smaller = choose(small_folder, tones, Budget(mb=0.05), out.parent / "small.json")
    assert smaller["chosen"]["estimated"]["penalty"] > estimated["penalty"]
    assert smaller["chosen"]["measured"]["mb"] <= 0.05
    assert record.stat().st_mtime_ns == before


@pytest.mark.parametrize("n_files", [3, 18])
def test_too_few_clips_are_reported_and_in_the_evidence(small_model, tmp_path, capsys, n_files):
    for i, clip in enumerate(noise_clips(0, n_files, 4000)):
        soundfile.write(tmp_path / f"{i:02}.wav", clip, 16_000)
    found = inputs.inputs_of_states(small_model, str(tmp_path), n_clips=4, seconds=0.2, seed=0)
    said = capsys.readouterr().err
    n_compared = 3 if n_files == 3 else 2
    assert (found.n_compared, len(found.calibration)) == (n_compared, min(n_files, 16))
    assert f"{n_compared} clips to compare on, --clips 4" in said
    assert found.is_shared is (n_files == 3)
    assert ("all 3 clips are used for calibration, and compared on too" in said) is found.is_shared


def test_an_interrupted_choice_goes_on_where_it_was(small_folder, tones, tmp_path, monkeypatch):
    calls, judge = [], StateDistance.__call__

    def interrupted(self, model):
        if len(calls) == 5:
            raise KeyboardInterrupt
        calls.append(1)
        return judge(self, model)

    with monkeypatch.context() as patch:
        patch.setattr(StateDistance, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            choose(small_folder, tones, Budget(mb=0.06), tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()
    counted = []
    monkeypatch.setattr(
        StateDistance, "__call__", lambda self, model: counted.append(1) or judge(self, model)
    )
    _, resumed = choose(small_folder, tones, Budget(mb=0.06), tmp_path / "a.json")
    n_candidates = sum(len(group["candidates"]) - 1 for group in resumed["groups"])
    assert len(calls) == 5
    assert n_candidates - 5 < len(counted) <= n_candidates - 5 + built.MAX_ROUNDS + 1
    assert (tmp_path / "a.json").is_file()


def test_a_task_is_compared_by_the_loss_of_its_validation_clips(small_folder, tones, tmp_path):
    out = tmp_path / "words.json"
    _, evidence = choose(small_folder, tones, Budget(mb=0.06), out, task="ks")
    assert evidence["penalty"] == "increase of the validation loss of ks"
    assert evidence["key"]["task"] == "ks"
    assert (tmp_path / "float-ks" / "head.safetensors").is_file()
    assert all(
        candidate["penalty"] >= 0
        for group in evidence["groups"]
        for candidate in group["candidates"].values()
    )
    # The head of another model is refused.
    config = load_model(small_folder).config
    (tmp_path / "other").mkdir()
    save_model(random_model(config, 1), tmp_path / "other" / "model.safetensors", {})
    with pytest.raises(ConfigError, match="other weights"):
        choose(tmp_path / "other", tones, Budget(mb=0.06), task="ks", head=tmp_path / "float-ks")


def test_a_budget_that_no_plan_or_the_float_model_is_within_is_an_error(
    small_folder, tones, tmp_path
):
    out = tmp_path / "mine.json"
    with pytest.raises(ConfigError, match=r"--budget-mb 0.001: the smallest plan takes 0.\d+ MB"):
        choose(small_folder, tones, Budget(mb=0.001), out)
    with pytest.raises(ConfigError, match=r"--budget-mb 9: the float model has 0.\d+ MB"):
        choose(small_folder, tones, Budget(mb=9.0), out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ([], "no budget"),
        (["--budget-ms", "-1"], "--budget-ms -1; allowed: numbers above 0"),
        (["--budget-ms", "9", "--out", "w1a1.json"], "is called 'w1a1' already"),
        (["--budget-ms", "9", "--out", "mine.yaml"], "ends in .json"),
        (["--budget-ms", "9", "--head", "x"], "--head x without --task"),
        (["--budget-ms", "9", "--precisions", "w1a32"], "no op has one operand in float"),
        (["--budget-ms", "9", "--precisions", "fp32"], "without a quantized one"),
        (["--budget-ms", "9", "--precisions", "w3a3"], "weight of 3 bits"),
        (["--budget-ms", "9", "--clips", "0"], "clips=0"),
        (["--budget-ms", "9", "--seconds", "0"], "--seconds 0; allowed: 0.025"),
        (["--budget-ms", "9", "--task", "ks", "--seconds", "1"], "--seconds 1 with --task"),
        (["--budget-ms", "9", "--task", "kz"], "unknown task 'kz'"),
        (["--budget-ms", "9", "--task", "qbe"], "--task qbe: compares clips with clips"),
    ],
)
def test_wrong_arguments_are_one_line_and_leave_nothing(
    args, named, capsys, small_folder, tones, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    corpus = "synthetic" if "qbe" in args else str(tones)
    with pytest.raises(SystemExit) as end:
        main(["choose", str(small_folder), "--corpus", corpus, *args])
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert line.startswith("earbit: ")
    assert named in line
    assert not list(tmp_path.iterdir())


def test_a_plan_of_ones_own_is_not_replaced(small_folder, tones, tmp_path):
    out = tmp_path / "mine.json"
    out.write_text('{"attention": "w1a1"}')
    with pytest.raises(ConfigError, match="exists and has no mine.evidence.json beside it"):
        choose(small_folder, tones, Budget(mb=0.06), out)
    assert out.read_text() == '{"attention": "w1a1"}'


def test_a_quantized_model_is_refused(small_model, tones, tmp_path):
    student = quantized_copy(small_model, "w8a8", noise_clips(0))
    save_model(student, tmp_path / "model.safetensors", {"plan": "w8a8"})
    with pytest.raises(ConfigError, match="quantized already under w8a8"):
        choose(tmp_path, tones, Budget(mb=0.06))


def test_a_damaged_record_is_an_error_and_is_kept(small_folder, tones, tmp_path):
    choose(small_folder, tones, Budget(mb=0.06), tmp_path / "a.json")
    (record,) = tmp_path.glob("measurements-*.json")
    record.write_text("{")
    with pytest.raises(DataError, match="remove it to measure again"):
        choose(small_folder, tones, Budget(mb=0.06), tmp_path / "a.json")
    assert record.read_text() == "{"
