"""`earbit superb` on clips that any features tell apart: three notes, six speakers."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from earbit.errors import ConfigError, DataError
from earbit.superb import verb
from earbit.superb.verb import SCRATCH, score_model
from earbit.superb.work import Settings
from earbit.upstream import upstream

NOTES_HZ = {"low": 250, "mid": 1_000, "high": 3_500}
SPLIT_OF = {"anna": "train", "ben": "train", "cleo": "train", "dan": "train", "eve": "valid"}
N_STEPS = 60
RESULTS = {"config.json", "head.safetensors", "scores.json", "sweep"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five speakers of train and valid, and one of test, who say each word twice."""
    root = tmp_path_factory.mktemp("notes")
    random = np.random.default_rng(0)
    t_s = np.arange(6_400) / 16_000
    lines = []
    for speaker, split in {**SPLIT_OF, "fay": "test"}.items():
        for word, hz in NOTES_HZ.items():
            for i in range(2):
                name = f"{speaker}-{word}-{i}"
                noise = 0.01 * random.standard_normal(t_s.size)
                tone = 0.3 * np.sin(2 * np.pi * hz * t_s)
                soundfile.write(root / f"{name}.wav", tone + noise, 16_000)
                fields = {"speaker": speaker, "keyword": word, "emotion": word, "split": split}
                lines.append({"id": name, "path": f"{name}.wav", **fields})
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def score(folder, out_dir):
    settings = Settings(protocol="proxy", n_steps=N_STEPS)
    (found,) = score_model(
        "hubert-tiny",
        ("ks",),
        (str(folder),),
        out_dir,
        settings=settings,
        seed=0,
        has_rejection=False,
    )
    return found


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_a_killed_run_resumes_with_its_features_and_a_finished_one_leaves_none(
    folder, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(verb, "run_task", interrupted)
        with pytest.raises(KeyboardInterrupt):
            score(folder, tmp_path)
    assert list((tmp_path / SCRATCH).rglob("*.safetensors"))
    right = upstream.model_upstream
    # Features come from the cache or not at all.
    mute = lambda *given: replace(right(*given), features=interrupted)  # noqa: E731
    monkeypatch.setattr(upstream, "model_upstream", mute)
    assert score(folder, tmp_path)["value"] == 1.0
    assert {path.name for path in tmp_path.iterdir()} == RESULTS


def test_splits_that_are_not_all_of_the_corpus_are_told(folder, tmp_path, capsys):
    score(folder, tmp_path / "a")
    assert "splits" not in capsys.readouterr().err
    without_test = tmp_path / "without-test"
    shutil.copytree(folder, without_test)
    lines = (folder / "manifest.jsonl").read_text().replace('"split": "test"', '"split": "train"')
    (without_test / "manifest.jsonl").write_text(lines)
    score(without_test, tmp_path / "b")
    assert "splits for ks: corpus; test by speaker\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"keyword": "low"}, "36 clips, all of the class 'low'"),
        ({"keyword": None}, "no clip among 36 has a usable `keyword`.*manifest.jsonl"),
        ({"split": "test"}, "all 36 clips have `split: test`; .* --resplit"),
    ],
)
def test_labels_and_splits_are_checked_before_anything_is_decoded(
    folder, tmp_path, monkeypatch, changes, problem
):
    monkeypatch.setattr(verb, "load_waveform", lambda *_: pytest.fail("audio was decoded"))
    root = relabelled(folder, tmp_path / "corpus", changes)
    with pytest.raises(DataError, match=problem):
        score_model("hubert-tiny", ("ks",), (str(root),), tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()


def test_of_several_tasks_all_are_checked_before_anything_is_decoded(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(verb, "load_waveform", lambda *_: pytest.fail("audio was decoded"))
    with pytest.raises(DataError, match="no clip among 36 has a usable `text`"):
        score_model("hubert-tiny", ("ks", "asr"), (str(folder),), tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def only_splits(monkeypatch):
    """Nothing is computed; for every task, its corpus, folder and splits are kept."""
    seen = []

    def score(work, features, out_dir, settings, seed, lm):
        seen.append((work, out_dir))
        return {"task": work.task.name, "metrics": {}}

    monkeypatch.setattr(verb, "score_work", score)
    monkeypatch.setattr(verb, "add_rejection", lambda score, *_: score)
    monkeypatch.setattr(verb, "corpus_features", lambda _, corpus, *__, **___: (None, corpus))
    return seen


def test_resplit_holds_out_speakers_of_a_corpus_that_has_splits(folder, tmp_path, only_splits):
    root = relabelled(folder, tmp_path / "corpus", {"split": "test"})
    score_model("hubert-tiny", ("ks",), (str(root),), tmp_path / "out", seed=0, resplit=True)
    ((work, _),) = only_splits
    assert work.of_task.summary["drawn_by"] == "test and valid by speaker"


def relabelled(folder, root, changes):
    shutil.copytree(folder, root)
    records = map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())
    lines = [json.dumps({**record, **changes}) + "\n" for record in records]
    (root / "manifest.jsonl").write_text("".join(lines))
    return root


FEW = Settings(n_steps=30, lrs=(1e-2,))


def test_several_tasks_share_one_pass_over_the_audio_and_have_a_folder_each(
    folder, tmp_path, monkeypatch
):
    decoded = []

    def load(cut):
        decoded.append(cut.id)
        return right(cut)

    right = verb.load_waveform
    monkeypatch.setattr(verb, "load_waveform", load)
    scores = score_model(
        "hubert-tiny", ("er", "ks"), (str(folder),), tmp_path, settings=FEW, seed=0
    )
    assert [score["task"] for score in scores] == ["er", "ks"]
    assert len(decoded) == len(set(decoded)) == 36
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "er", "ks"}
    for score in scores:
        own = tmp_path / score["task"]
        written = json.loads((own / "scores.json").read_text())
        assert (written["task"], written["value"]) == (score["task"], score["value"])
        assert (own / "head.safetensors").is_file()
        assert score["protocol"]["n_steps"] == 30
        assert [point["lr"] for point in score["grid"]] == [1e-2]


def test_one_task_is_written_to_the_folder_itself(folder, tmp_path):
    score_model("hubert-tiny", ("ks",), (str(folder),), tmp_path, settings=FEW, seed=0)
    assert {path.name for path in tmp_path.iterdir()} == RESULTS


def test_an_interrupted_run_of_several_tasks_resumes(folder, tmp_path, monkeypatch):
    where = ("hubert-tiny", ("ks", "er"), (str(folder),))
    right, trained = verb.run_task, []

    def run(training, *arguments):
        task = training.task
        if task.name == "er" and not trained.count("er") and "again" not in trained:
            raise KeyboardInterrupt
        trained.append(task.name)
        return right(training, *arguments)

    monkeypatch.setattr(verb, "run_task", run)
    with pytest.raises(KeyboardInterrupt):
        score_model(*where, tmp_path / "a", settings=FEW, seed=0)
    trained.append("again")
    monkeypatch.setattr(verb, "load_waveform", lambda *_: pytest.fail("audio was decoded"))
    score_model(*where, tmp_path / "a", settings=FEW, seed=0)
    monkeypatch.undo()
    score_model(*where, tmp_path / "b", settings=FEW, seed=0)
    for name in ("ks/scores.json", "er/scores.json", "er/head.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_clip_that_cannot_be_decoded_is_left_out_and_listed(folder, tmp_path):
    root = relabelled(folder, tmp_path / "corpus", {})
    broken = root / "anna-low-0.wav"
    # The header stays, so that the fault shows when the clip is decoded.
    broken.write_bytes(broken.read_bytes()[:2_000])
    (score,) = score_model(
        "hubert-tiny", ("ks",), (str(root),), tmp_path / "out", settings=FEW, seed=0
    )
    assert score["n_train"] == 23
    assert "anna-low-0.wav" in (tmp_path / "out" / "quarantine.jsonl").read_text()


def test_log_mel_energies_are_an_upstream_of_one_state(folder, tmp_path):
    """They are standardised per clip, so a steady note is not told from another by its mean."""
    (score,) = score_model("fbank", ("ks",), (str(folder),), tmp_path, settings=FEW, seed=0)
    assert score["layer_weights"] == [1.0]
    assert 0 <= score["value"] < 1
    assert score["model_digest"].startswith("fbank")


def test_features_of_another_system_are_an_upstream(folder, tmp_path):
    """They hold the class alone, so the score is that of the features and not of the audio."""
    features = tmp_path / "features"
    features.mkdir()
    for path in folder.glob("*.wav"):
        word = path.stem.split("-")[1]
        frames = np.zeros((3, 4), np.float32)
        frames[:, list(NOTES_HZ).index(word)] = 1
        np.save(features / f"{path.stem}.npy", frames)
    where = (f"features:{features}", ("ks",), (str(folder),))
    (score,) = score_model(*where, tmp_path / "a", settings=FEW, seed=0)
    assert score["value"] == 1.0
    (features / "fay-low-0.npy").unlink()
    with pytest.raises(DataError, match="no features for clip 'fay-low-0'"):
        score_model(*where, tmp_path / "b", settings=FEW, seed=0)
    assert not (tmp_path / "b" / "scores.json").exists()


def test_a_folder_of_another_run_is_refused_and_stays(folder, tmp_path):
    out, where = tmp_path / "out", (("ks",), (str(folder),), tmp_path / "out")
    score_model("hubert-tiny", *where, settings=FEW, seed=0)
    before = (out / "scores.json").read_bytes()
    with pytest.raises(
        ConfigError, match="out: holds a run with another model; give another --out"
    ):
        score_model("fbank", *where, settings=FEW, seed=0)
    with pytest.raises(ConfigError, match="a run with --seed 0, here --seed 1"):
        score_model("hubert-tiny", *where, settings=FEW, seed=1)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").touch()
    with pytest.raises(ConfigError, match="holds other files"):
        score_model("fbank", *where[:2], tmp_path / "notes", settings=FEW, seed=0)
    assert (out / "scores.json").read_bytes() == before


def test_a_task_may_have_a_corpus_of_its_own(folder, tmp_path, only_splits):
    other = relabelled(folder, tmp_path / "other", {})
    places = (str(folder), f"er={other}")
    score_model("hubert-tiny", ("ks", "er"), places, tmp_path / "out", seed=0)
    found = {work.task.name: (work.corpus.root, out) for work, out in only_splits}
    assert found == {
        "ks": (folder, tmp_path / "out" / "ks"),
        "er": (other, tmp_path / "out" / "er"),
    }
