"""Which corpus and which protocol a task gets."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from earbit.audio.corpus_names import MANIFEST_NAME
from earbit.errors import ConfigError, DataError
from earbit.superb.ks import KS
from earbit.superb.names import corpora_of
from earbit.superb.tasks import TASKS, task_named
from earbit.superb.verb import score_model
from earbit.superb.work import Settings


def test_a_folder_may_have_a_corpus_for_each_task(tmp_path):
    (tmp_path / "ks").mkdir()
    of = corpora_of([task_named("ks"), task_named("er")], [str(tmp_path)])
    assert of == {"ks": str(tmp_path / "ks"), "er": str(tmp_path)}


def test_a_corpus_with_a_manifest_may_hold_a_folder_of_the_name_of_a_task(tmp_path):
    (tmp_path / "ks").mkdir()
    (tmp_path / MANIFEST_NAME).touch()
    assert corpora_of([task_named("ks")], [str(tmp_path)]) == {"ks": str(tmp_path)}


def test_the_synthetic_corpus_of_a_task_is_the_one_with_its_labels():
    of = corpora_of(list(TASKS.values()), ["synthetic"])
    others = {"qbe": "synthetic-queries", "asv": "synthetic-voices", "sd": "synthetic-mixtures"}
    assert of == {name: others.get(name, "synthetic") for name in TASKS}
    assert corpora_of([task_named("asv")], ["asv=synthetic"]) == {"asv": "synthetic-voices"}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ((), "no corpus for ks; give ks=CORPUS"),
        (("er=a",), "er=...: not a task to score; tasks: ks"),
        (("a", "b"), "one corpus for all tasks, or TASK=CORPUS"),
        (("sing=a", "ks=b"), "sing=...: not a task to score; tasks: ks"),
    ],
)
def test_a_task_without_one_corpus_is_an_error(data, problem):
    with pytest.raises(ConfigError, match=problem):
        corpora_of([KS], data)


def test_a_task_with_two_corpora_is_an_error():
    with pytest.raises(ConfigError, match="ks=a ks=b: give one corpus for all tasks, or TASK="):
        corpora_of([KS], ["ks=a", "ks=b"])


def test_an_unknown_task_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="unknown task 'sk'"):
        score_model("hubert-tiny", ("sk",), ("synthetic",), tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()


def test_the_protocol_is_the_published_one_from_twenty_hours_unless_told():
    assert Settings().of(KS, 19.9) == ("proxy", KS.proxy)
    assert Settings().of(KS, 20.1) == ("superb", KS.published)
    assert Settings(protocol="superb").of(KS, 0.1) == ("superb", KS.published)
    name, protocol = Settings(n_steps=7, batch_size=3, lrs=(0.5,)).of(KS, 0.1)
    assert (name, protocol) == (
        "proxy",
        replace(KS.proxy, n_steps=7, batch_size=3, lrs=(0.5,), n_checks=1),
    )


@pytest.mark.parametrize("task", [task for task in TASKS.values() if task.head])
def test_fewer_updates_keep_the_interval_between_evaluations(task):
    """200 of 200,000 updates with an evaluation every 2,000 have one, and not a hundred."""
    _, whole = Settings(protocol="superb").of(task, 0.1)
    _, few = Settings(protocol="superb", n_steps=200).of(task, 0.1)
    assert (few.n_steps, few.n_checks) == (200, 1)
    _, half = Settings(protocol="superb", n_steps=whole.n_steps // 2).of(task, 0.1)
    assert half.n_checks == whole.n_checks // 2
    every = whole.n_steps // whole.n_checks
    _, odd = Settings(protocol="superb", n_steps=every + 1).of(task, 0.1)
    assert odd.n_checks == 2


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (Settings(n_steps=0), "n_steps=0; allowed"),
        (Settings(lrs=(-1.0,)), "lr=-1.0; a learning rate"),
    ],
)
def test_invalid_settings_are_refused_before_features_are_computed(
    tmp_path, monkeypatch, settings, problem
):
    monkeypatch.setattr("earbit.superb.verb.corpus_features", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(ConfigError, match=problem):
        score_model("fbank", ("ks",), ("synthetic",), tmp_path / "out", settings=settings, seed=0)
    assert not (tmp_path / "out").exists()


def test_unusable_files_are_named_where_splits_lack_their_class(tmp_path):
    lines = []
    for split in ("train", "valid", "test"):
        for word in ("yes", "no"):
            name = f"{split}-{word}.wav"
            soundfile.write(tmp_path / name, np.zeros(8_000), 16_000)
            lines.append({"path": name, "keyword": word, "split": split})
    lines[-1] |= {"num_samples": 100, "sample_rate": 16_000}
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(
        DataError,
        match=r"no clip of 'no' in test .*\(1 files or lines rejected, .*`num_samples` is 100, the "
        "file has 8000 samples",
    ):
        score_model("hubert-tiny", ("ks",), (str(tmp_path),), tmp_path / "out", seed=0)
