"""`earbit superb` on clips that any features tell apart: three notes, six speakers."""

import copy
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from lhotse import CutSet

from earbit.audio.corpus import decode_all, open_corpus
from earbit.errors import DataError
from earbit.load import random_model
from earbit.presets import preset
from earbit.superb import verb
from earbit.superb.examples import task_splits
from earbit.superb.tasks import task_named
from earbit.superb.verb import SCRATCH, score_on

NOTES_HZ = {"low": 250, "mid": 1_000, "high": 3_500}
SPLIT_OF = {"anna": "train", "ben": "train", "cleo": "train", "dan": "train", "eve": "valid"}
N_STEPS = 60


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
                fields = {"speaker": speaker, "keyword": word, "split": split}
                lines.append({"id": name, "path": f"{name}.wav", **fields})
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


@pytest.fixture(scope="module")
def data(folder):
    waveforms, corpus = decode_all(open_corpus(folder))
    return corpus, waveforms


@pytest.fixture(scope="module")
def model():
    return random_model(preset("hubert-tiny"), seed=0).eval()


def score(model, data, out_dir, **options):
    return score_on(model, *data, out_dir, n_steps=N_STEPS, seed=0, **options)


class Mute:
    """A program whose features say nothing."""

    def __init__(self, path):
        pass

    def run(self, waveform, layers):
        n_states = preset("hubert-tiny").encoder.n_layers + 1
        return np.ones((n_states, 20, preset("hubert-tiny").encoder.d_model), np.float32)


def test_a_program_is_scored_on_its_own_features_not_on_those_of_pytorch(
    model, data, tmp_path, monkeypatch
):
    monkeypatch.setattr(verb, "Session", Mute)
    program = tmp_path / "program.safetensors"
    program.write_bytes(b"program")
    result = score(model, data, tmp_path / "out", program=program)
    assert result["value"] == 1.0
    assert result["packed_value"] == pytest.approx(1 / 3)
    assert (
        json.loads((tmp_path / "out" / "scores.json").read_text())["packed_value"]
        == (result["packed_value"])
    )


def test_a_killed_run_goes_on_with_its_features_and_a_finished_one_leaves_none(
    model, data, tmp_path, monkeypatch
):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(verb, "run_task", killed)
        with pytest.raises(KeyboardInterrupt):
            score(model, data, tmp_path)
    assert list((tmp_path / SCRATCH).rglob("*.safetensors"))
    monkeypatch.setattr(verb, "model_features", lambda model: killed)
    assert score(model, data, tmp_path)["value"] == 1.0
    assert {path.name for path in tmp_path.iterdir()} == {
        "head.safetensors",
        "scores.json",
        "sweep",
    }


def test_splits_that_are_not_all_of_the_corpus_are_told(model, data, tmp_path, capsys):
    corpus, waveforms = data
    score(model, data, tmp_path / "a")
    assert "splits" not in capsys.readouterr().err
    cuts = copy.deepcopy(list(corpus.cuts))
    for cut in cuts:
        cut.custom["split"] = cut.custom["split"].replace("test", "train")
    without_test = replace(corpus, cuts=CutSet.from_cuts(cuts))
    score(model, (without_test, waveforms), tmp_path / "b")
    assert "splits for ks: corpus; test by speaker\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"keyword": "low"}, "36 clips, all of the class 'low'"),
        ({"keyword": None}, "none of the 36 clips has a keyword.*manifest.jsonl"),
        ({"split": "test"}, "all 36 clips have `split: test`; .* --resplit"),
    ],
)
def test_labels_and_splits_are_checked_before_anything_is_decoded(
    folder, tmp_path, monkeypatch, changes, problem
):
    monkeypatch.setattr(verb, "decoded_corpus", lambda *_: pytest.fail("audio was decoded"))
    root = relabelled(folder, tmp_path / "corpus", changes)
    with pytest.raises(DataError, match=problem):
        verb.score_model("hubert-tiny", "ks", str(root), tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()


def test_resplit_holds_out_speakers_of_a_corpus_that_has_splits(folder, tmp_path, monkeypatch):
    seen = []

    def score(model, corpus, waveforms, out_dir, **options):
        seen.append(task_splits(task_named("ks"), corpus.cuts).summary["drawn_by"])
        return {}

    monkeypatch.setattr(verb, "score_on", score)
    root = relabelled(folder, tmp_path / "corpus", {"split": "test"})
    verb.score_model("hubert-tiny", "ks", str(root), tmp_path / "out", seed=0, resplit=True)
    assert seen == ["test and valid by speaker"]


def relabelled(folder, root, changes):
    shutil.copytree(folder, root)
    records = map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())
    lines = [json.dumps({**record, **changes}) + "\n" for record in records]
    (root / "manifest.jsonl").write_text("".join(lines))
    return root
