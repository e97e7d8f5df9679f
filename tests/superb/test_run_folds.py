"""A task that is scored fold by fold."""

import json
from dataclasses import replace

import pytest
from one_task import run_task

from earbit.audio.folds import fold_splits
from earbit.heads.example import Example
from earbit.superb.er import ER
from earbit.superb.folds import run_folds
from earbit.superb.head_file import load_head
from earbit.superb.ks import KS
from earbit.superb.training import Training
from earbit.superb.work import work_on

PROTOCOL = replace(ER.proxy, lrs=(1e-2,), n_steps=30, n_checks=2, d_hidden=8)


@pytest.fixture(scope="module")
def scored(toy, tmp_path_factory):
    names = ("down", "left", "up")
    examples = [
        Example(id=f"{fold}-{name}-{i}", target=name, speaker=fold)
        for fold, n in (("a", 2), ("b", 3), ("c", 4))
        for name in names
        for i in range(n)
    ]
    splits = fold_splits(examples, {e.id: e.speaker for e in examples})
    features = toy.separable(splits)
    out = tmp_path_factory.mktemp("folds")
    training = Training(task=ER, protocol=PROTOCOL, features=features, splits=splits, seed=0)
    score = run_folds(training, out, "superb")
    return splits, features, out, score


def test_the_value_is_the_mean_over_folds_and_each_is_that_of_a_run_of_its_own(scored, tmp_path):
    splits, features, out, score = scored
    alone = {
        name: run_task(ER, features, fold, tmp_path / name, protocol=PROTOCOL, seed=0)
        for name, fold in splits.folds.items()
    }
    assert list(score["folds"]) == ["a", "b", "c"]
    for name, of_fold in score["folds"].items():
        assert of_fold["value"] == alone[name]["value"]
        assert of_fold["n_test"] == alone[name]["n_test"]
    for metric in ER.metrics:
        values = [of_fold["metrics"][metric] for of_fold in score["folds"].values()]
        assert score["metrics"][metric] == pytest.approx(sum(values) / 3)
    assert score["value"] == score["metrics"]["accuracy"]
    assert score["n_test"] == 27
    for i, of_fold in enumerate(score["folds"].values(), start=1):
        written = json.loads((out / "folds" / str(i) / "scores.json").read_text())
        assert written["value"] == of_fold["value"]


def test_the_interval_is_over_the_test_clips_of_all_folds(scored):
    *_, score = scored
    assert score["interval_over"] == "27 clips of 3 speakers"
    low, high = score["intervals"]["accuracy"]
    assert 0 <= low <= high <= 1


def test_the_head_is_that_of_the_first_fold(scored, tmp_path):
    splits, features, out, score = scored
    run_task(ER, features, splits.folds["a"], tmp_path, protocol=PROTOCOL, seed=0)
    first, kept = (load_head(place).head.state_dict() for place in (tmp_path, out))
    assert all((first[name] == kept[name]).all() for name in first)
    assert score["head_of_fold"] == "a"


def lines(key):
    for fold in (1, 2):
        for i in range(8):
            yield {
                "path": f"{fold}-{i}.wav",
                "speaker": f"{fold}-{i}",
                key: ("x", "y")[i % 2],
                "fold": fold,
            }


@pytest.fixture
def write(tmp_path):
    import numpy as np
    import soundfile

    from earbit.audio.corpus import open_corpus

    def written(items):
        items = list(items)
        for item in items:
            soundfile.write(tmp_path / item["path"], 0.1 * np.ones(800), 16_000)
        text = "".join(json.dumps(item) + "\n" for item in items)
        (tmp_path / "manifest.jsonl").write_text(text)
        return open_corpus(tmp_path)

    return written


def test_a_corpus_with_folds_is_scored_by_them_for_emotion_recognition_alone(write):
    work = work_on(ER, write(lines("emotion")))
    assert list(work.of_task.folds) == ["1", "2"]
    assert len(work.ids) == 16
    assert work_on(KS, write(lines("keyword"))).of_task.folds == {}


def test_without_the_label_there_are_no_folds(write):
    corpus = write({k: v for k, v in line.items() if k != "fold"} for line in lines("emotion"))
    assert work_on(ER, corpus).of_task.folds == {}
