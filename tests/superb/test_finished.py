"""The command of a finished run returns its scores, and an unfinished folder is not exported."""

import json
import shutil

import pytest

from earbit.errors import ConfigError, DataError
from earbit.export.verb import export_model
from earbit.heads.language_model import LanguageModel
from earbit.superb import verb
from earbit.superb.verb import score_model
from earbit.superb.with_lm import is_scored_with
from earbit.superb.work import Settings

FEW = Settings(n_steps=30, lrs=(1e-2,))


def score(notes, out):
    return score_model("hubert-tiny", ("ks",), (str(notes),), out, settings=FEW, seed=0)


def test_the_command_of_a_finished_run_returns_its_scores_and_computes_nothing(
    notes, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    scores = score(notes, out)
    with monkeypatch.context() as patch:
        patch.setattr(verb, "corpus_features", lambda *_, **__: pytest.fail("computed again"))
        assert score(notes, out) == json.loads(json.dumps(scores))
    assert "out/scores.json: this run is finished; give another --out" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["no head", "no json", "another version"])
def test_a_folder_that_lacks_a_part_is_computed_again(notes, tmp_path, damage):
    out = tmp_path / "out"
    scores = json.loads(json.dumps(score(notes, out)))
    if damage == "no head":
        (out / "head.safetensors").unlink()
    else:
        text = "[" if damage == "no json" else json.dumps({**scores[0], "earbit": "0.0"})
        (out / "scores.json").write_text(text)
    assert json.loads(json.dumps(score(notes, out))) == scores
    assert json.loads((out / "scores.json").read_text()) == scores[0]
    assert (out / "head.safetensors").is_file()


def test_a_run_interrupted_in_its_last_scoring_is_not_exported(notes, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(verb, "add_rejection", interrupted)
        with pytest.raises(KeyboardInterrupt):
            score(notes, out)
    assert (out / "head.safetensors").is_file()
    with pytest.raises(ConfigError, match="out: no scores.json, .* same `earbit superb` command"):
        export_model("hubert-tiny", tmp_path / "p.safetensors", head=out)
    score(notes, out)
    export_model("hubert-tiny", tmp_path / "p.safetensors", head=out)


def test_a_further_task_is_added_to_finished_ones(folder_of_two_tasks, tmp_path, monkeypatch):
    """Scores stay as they are, in a folder for each task, and equal those of one call."""
    out, data = tmp_path / "out", (str(folder_of_two_tasks),)
    seen, right = [], verb.run_task

    def run_task(training, *arguments):
        seen.append(training.task.name)
        return right(training, *arguments)

    monkeypatch.setattr(verb, "run_task", run_task)
    for tasks in (("ks",), ("ks", "er"), ("er",)):
        scores = score_model("hubert-tiny", tasks, data, out, settings=FEW, seed=0, plan="w8a8")
        assert [score["task"] for score in scores] == [*tasks]
    assert seen == ["ks", "er"]
    names = {"config.json", "model.safetensors"}
    assert {path.name for path in out.iterdir()} == {*names, "ks", "er"}
    both = tmp_path / "both"
    score_model("hubert-tiny", ("ks", "er"), data, both, settings=FEW, seed=0, plan="w8a8")
    for name in ("config.json", "ks/scores.json", "ks/head.safetensors", "er/scores.json"):
        assert (out / name).read_bytes() == (both / name).read_bytes(), name
    with pytest.raises(ConfigError, match="a run with --seed 0, here --seed 1"):
        score_model("hubert-tiny", ("er", "sid"), data, out, settings=FEW, seed=1, plan="w8a8")


def test_a_changed_corpus_is_refused_where_its_scores_are(notes, folder_of_two_tasks, tmp_path):
    score(notes, tmp_path)
    data = (str(folder_of_two_tasks),)
    with pytest.raises(ConfigError, match="holds a run with another corpus; give another --out"):
        score_model("hubert-tiny", ("ks", "er"), data, tmp_path, settings=FEW, seed=0)


def test_a_folder_without_any_result_is_free_for_corrected_arguments(
    notes, tmp_path, monkeypatch, capsys
):
    def failing(*_, **__):
        raise DataError("no usable clip")

    with monkeypatch.context() as patch:
        patch.setattr(verb, "corpus_features", failing)
        with pytest.raises(DataError, match="no usable clip"):
            score_model("fbank", ("ks",), (str(notes),), tmp_path, settings=FEW, seed=0)
    assert (tmp_path / "config.json").is_file()
    score(notes, tmp_path)
    assert "held a run with another model, which left no result" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="holds a run with another model"):
        score_model("fbank", ("ks",), (str(notes),), tmp_path, settings=FEW, seed=0)


@pytest.fixture(scope="module")
def folder_of_two_tasks(notes, tmp_path_factory):
    """The notes, whose words are emotions too."""
    root = tmp_path_factory.mktemp("two") / "notes"
    shutil.copytree(notes, root)
    records = [json.loads(line) for line in (notes / "manifest.jsonl").read_text().splitlines()]
    lines = [json.dumps({**record, "emotion": record["keyword"]}) for record in records]
    (root / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return root


def test_scores_with_another_language_model_or_setting_are_not_those_of_the_command():
    def model(digest="a", n_beams=20, settings=((0.5, 0.0),)):
        return LanguageModel(lm=None, name="", digest=digest, n_beams=n_beams, settings=settings)

    found = {"lm_digest": "a", "n_beams": 20, "lm_weight": 0.5, "word_score": 0.0, "n_settings": 1}
    of_words = {"metrics": {"wer": 0.1}, "with_lm": found}
    assert is_scored_with(of_words, model())
    assert is_scored_with(of_words, None)
    others = (
        model(digest="b"),
        model(n_beams=5),
        model(settings=((0.5, 1.0),)),
        model(settings=((0.5, 0.0), (1.0, 0.0))),
    )
    assert not any(is_scored_with(of_words, other) for other in others)
    assert not is_scored_with({"metrics": {"wer": 0.1}}, model())
    assert is_scored_with({"metrics": {"accuracy": 0.1}}, model())
