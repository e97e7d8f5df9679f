"""The command of a finished run returns its scores, and an unfinished folder is not exported."""

import json

import pytest

from earbit.errors import ConfigError
from earbit.export.verb import export_model
from earbit.heads.language_model import LanguageModel
from earbit.superb import verb
from earbit.superb.verb import Settings, score_model
from earbit.superb.with_lm import is_scored_with

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


def test_scores_with_another_language_model_or_setting_are_not_those_of_the_command():
    def model(digest="a", n_beams=20, settings=((0.5, 0.0),)):
        return LanguageModel(lm=None, name="", digest=digest, n_beams=n_beams, settings=settings)

    found = {"lm_digest": "a", "n_beams": 20, "lm_weight": 0.5, "word_score": 0.0, "n_settings": 1}
    of_words = {"metrics": {"wer": 0.1}, "with_lm": found}
    assert is_scored_with(of_words, model())
    others = (
        None,
        model(digest="b"),
        model(n_beams=5),
        model(settings=((0.5, 1.0),)),
        model(settings=((0.5, 0.0), (1.0, 0.0))),
    )
    assert not any(is_scored_with(of_words, other) for other in others)
    assert not is_scored_with({"metrics": {"wer": 0.1}}, model())
    assert is_scored_with({"metrics": {"accuracy": 0.1}}, model())
