"""What a study refuses before its first stage, and before any audio is decoded."""

import json

import numpy as np
import pytest
import soundfile

from earbit.errors import ConfigError, DataError
from earbit.study import run as module
from earbit.study.run import run_study

WORDS = ("yes", "no")


class Reached(Exception):
    """The first stage began."""


@pytest.fixture(autouse=True)
def _no_stage(monkeypatch):
    def reach(*_):
        raise Reached

    for name in ("decoded_corpus", "training_data"):
        monkeypatch.setattr(module, name, reach)


def write(root, **labels):
    """Two words by five speakers; `labels` replace those of all clips."""
    root.mkdir()
    lines = []
    for speaker in range(5):
        for word in WORDS:
            name = f"{speaker}-{word}.wav"
            soundfile.write(root / name, np.zeros(8_000), 16_000)
            fields = {"speaker": f"s{speaker}", "keyword": word, **labels}
            lines.append(json.dumps({"path": name, **fields}) + "\n")
    (root / "manifest.jsonl").write_text("".join(lines))
    return root


def study(root, out_dir, **options):
    return run_study(str(root), ("hubert-tiny",), scale="tiny", out_dir=out_dir, seed=0, **options)


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ({"keyword": "yes"}, "10 clips, all of the class 'yes'; at least two classes"),
        ({"keyword": None}, "usable `keyword`, which keyword spotting needs in manifest.jsonl"),
        ({"split": "test"}, "all 10 clips have `split: test`; .* --resplit"),
        ({"split": "train", "keyword": "yes"}, "10 clips, all of the class 'yes'"),
    ],
)
def test_labels_that_do_not_serve_are_refused_before_the_first_stage(tmp_path, labels, problem):
    root = write(tmp_path / "corpus", **labels)
    with pytest.raises(DataError, match=problem):
        study(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("labels", [{}, {"speaker": "s0"}], ids=["speakers", "one speaker"])
def test_labels_that_serve_reach_the_first_stage(tmp_path, labels):
    with pytest.raises(Reached):
        study(write(tmp_path / "corpus", **labels), tmp_path / "out")


def test_resplit_belongs_to_the_settings_of_a_study(tmp_path):
    root = write(tmp_path / "corpus", split="test")
    with pytest.raises(Reached):
        study(root, tmp_path / "out", resplit=True)
    settings = json.loads((tmp_path / "out" / "study.json").read_text())
    assert settings["resplit"] is True
    write(tmp_path / "other")
    with pytest.raises(ConfigError, match="another corpus, resplit"):
        study(tmp_path / "other", tmp_path / "out")
