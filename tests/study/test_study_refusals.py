"""What a study refuses before its first step, and which tasks it leaves out."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from words_corpus import write

from earbit.errors import ConfigError, DataError
from earbit.study import run as module
from earbit.study.request import Request, places, served
from earbit.study.run import Ended, run_study
from earbit.study.scale import SCALES, changed
from earbit.superb.tasks import TASKS

TINY = replace(SCALES["tiny"], encoders=("sparseformer-sw-tiny",))


class Reached(Exception):
    """The first step would run."""


@pytest.fixture(autouse=True)
def _no_step(monkeypatch):
    def reach(*_):
        raise Reached

    monkeypatch.setattr(module, "_run", reach)


def request(root, **more):
    return Request(scale_name="tiny", scale=TINY, corpus=str(root), **more)


def left_out(root, **more):
    return dict(served(request(root, **more)).left_out)


def test_a_corpus_without_keywords_serves_its_other_tasks(tmp_path, capsys):
    root = write(tmp_path / "corpus", keyword=None)
    with pytest.raises(Reached):
        run_study(request(root, tasks=("ks", "sid")), tmp_path / "out")
    assert "ks is left out: no clip among 15 has a usable `keyword`" in capsys.readouterr().err
    assert set(left_out(root, tasks=("ks", "sid"))) == {"ks"}


def test_a_corpus_without_labels_serves_no_task_and_is_studied(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    for i in range(8):
        soundfile.write(root / f"{i}.wav", np.zeros(16_000), 16_000)
    assert set(left_out(root)) == set(TASKS)
    with pytest.raises(Reached):
        run_study(request(root), tmp_path / "out")


def test_test_clips_alone_cannot_be_trained_on(tmp_path):
    root = write(tmp_path / "corpus", split="test")
    with pytest.raises(DataError, match="--resplit"):
        run_study(request(root), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(Reached):
        run_study(request(root, resplit=True), tmp_path / "out")


def test_an_unreadable_corpus_is_one_line_and_leaves_no_folder(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    (root / "a.wav").write_bytes(b"no audio")
    with pytest.raises(DataError, match="no usable audio in it") as error:
        run_study(request(root), tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_each_task_takes_the_first_corpus_that_serves_it(tmp_path):
    words = write(tmp_path / "words")
    other = write(tmp_path / "other", keyword=None)
    found = served(request(other, task_data=(str(other), str(words)), tasks=("ks", "sid", "er")))
    assert found.place_of == {"ks": str(words), "sid": str(other)}
    assert set(found.left_out) == {"er"}


def test_a_corpus_for_a_task_by_name_counts_alone(tmp_path):
    words, other = write(tmp_path / "words"), write(tmp_path / "other", keyword=None)
    found = served(request(words, task_data=(str(words), f"ks={other}"), tasks=("ks", "sid")))
    assert set(found.left_out) == {"ks"}
    with pytest.raises(ConfigError, match="ks has a corpus already"):
        places([], "synthetic", (f"ks={words}", f"ks={other}"))


def test_another_corpus_in_the_folder_is_refused_and_a_moved_one_is_not(tmp_path):
    out = tmp_path / "out"
    first = write(tmp_path / "first")
    with pytest.raises(Reached):
        run_study(request(first), out)
    first.rename(tmp_path / "moved")
    with pytest.raises(Reached):
        run_study(request(tmp_path / "moved"), out)
    second = write(tmp_path / "second", speaker="s0")
    for dry_run in (False, True):
        with pytest.raises(
            ConfigError, match="holds a study with another corpus .*give another --out"
        ):
            run_study(request(second), out, dry_run=dry_run)


def test_other_files_in_the_folder_are_refused(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").touch()
    asked = request(write(tmp_path / "corpus"))
    for dry_run in (False, True):
        with pytest.raises(ConfigError, match="holds other files"):
            run_study(asked, out, dry_run=dry_run)


def test_a_disk_with_too_little_space_is_one_line(tmp_path, monkeypatch):
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DataError, match=r"needs about .* GB of disk and 0.0 GB are free"):
        run_study(request(write(tmp_path / "corpus")), tmp_path / "out")


def test_a_dry_run_lists_steps_and_writes_nothing(tmp_path):
    root = write(tmp_path / "corpus")
    text = run_study(request(root, tasks=("ks",)), tmp_path / "out", dry_run=True).text
    for stage in ("units", "pretrain", "quantize", "export", "score", "packed", "times"):
        assert f"\n{stage} " in text
    assert "GB of disk" in text
    assert not (tmp_path / "out").exists()


def test_the_paper_names_a_line_of_torchrun_for_every_pretraining(tmp_path):
    root = write(tmp_path / "corpus")
    full = changed(SCALES["full"], encoders=("sparseformer-sw-tiny",))
    asked = replace(request(root, tasks=("ks",)), scale_name="full", scale=full)
    text = run_study(asked, tmp_path / "out", dry_run=True).text
    lines = [line for line in text.splitlines() if line.strip().startswith("torchrun --nnodes 4 ")]
    verbs = [line.partition(" -m earbit ")[2].split()[0] for line in lines]
    assert verbs == ["study", "units", "pretrain", "units", "pretrain"]
    assert all(" --nproc-per-node 8 " in line for line in lines)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"settings": ("model.front_end.n_mel=40",)}, "n_mel"),
        ({"settings": ("quantize.weights.logit=0",)}, "logit"),
        ({"plans": ("w9a9",)}, "unknown plan 'w9a9'"),
        ({"pretrain_steps": 0}, "n_steps"),
        ({"settings": ("corpus=words",)}, "--set corpus=words: give --corpus instead"),
        ({"settings": ("seed=3",)}, "--seed and --seeds"),
        ({"settings": ("units=x", "n_units=50")}, "--set n_units with --set units"),
        ({"quantize_steps": (1, 2, 3)}, "--quantize-steps 1 2 3: give one number"),
    ],
)
def test_settings_are_checked_before_a_corpus_is_opened(tmp_path, changes, problem):
    asked = replace(request(tmp_path), scale=changed(TINY, **changes))
    with pytest.raises(ConfigError, match=problem):
        run_study(asked, tmp_path / "out")


def test_the_end_of_a_study_with_failures_is_an_error():
    Ended("").check("out")
    with pytest.raises(DataError, match="2 steps failed, 3 that need them were not run"):
        Ended("", n_failed=2, n_not_run=3).check(module.Path("out"))
