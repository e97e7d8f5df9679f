"""Libri2Mix: folders in the form of Kaldi, with audio whose paths may be of another machine."""

import pytest
from layouts import found, manifest, prepared, write_wav

from earbit.audio.corpus import open_corpus
from earbit.errors import DataError
from earbit.superb.examples import task_splits
from earbit.superb.sd import SD

FOLDERS = ("train", "dev", "test")
ELSEWHERE = "/home/someone/Libri2Mix/"


def audio_of(folder, i):
    return f"wav16k/max/{folder}/mix_clean/{folder}{i}.wav"


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "Libri2Mix"
    for folder in FOLDERS:
        place = root / folder
        place.mkdir(parents=True)
        recordings, segments, speakers = [], [], []
        for i in range(2):
            write_wav(root / audio_of(folder, i), n_samples=16_000)
            recordings.append(f"{folder}{i} {ELSEWHERE}{audio_of(folder, i)}\n")
            for s, start, end in (("b", "0.25", "0.75"), ("a", "0.00", "0.50")):
                utterance = f"{s}-{folder}{i}-{start}"
                segments.append(f"{utterance} {folder}{i} {start} {end}\n")
                speakers.append(f"{utterance} {s}-{folder}\n")
        (place / "wav.scp").write_text("".join(recordings))
        (place / "segments").write_text("".join(segments))
        (place / "utt2spk").write_text("".join(speakers))
    return root


def test_mixtures_have_the_segments_and_speakers_of_the_tables(root, tmp_path):
    report = prepared("libri2mix", root, tmp_path / "out")
    lines = manifest(tmp_path / "out")
    assert lines["dev/dev1"] == {
        "path": f"audio/{audio_of('dev', 1)}",
        "segments": [[0.0, 0.5, "a-dev"], [0.25, 0.75, "b-dev"]],
        "split": "valid",
    }
    assert found(report) == {"train": 2, "valid": 2, "test": 2}
    assert report["published"]["files"]["test"]["published"] == 3_002
    splits = task_splits(SD, open_corpus(tmp_path / "out"))
    assert [e.id for e in splits.test] == ["test/test0", "test/test1"]
    assert splits.summary["drawn_by"] == "corpus"


@pytest.mark.parametrize("prefix", ["", "./", "{root}/"])
def test_paths_may_be_relative_to_the_root_or_of_this_machine(root, tmp_path, prefix):
    table = root / "train" / "wav.scp"
    table.write_text(table.read_text().replace(ELSEWHERE, prefix.format(root=root)))
    prepared("libri2mix", root, tmp_path / "out")
    assert manifest(tmp_path / "out")["train/train0"]["path"] == f"audio/{audio_of('train', 0)}"


@pytest.mark.parametrize(
    ("name", "line", "problem"),
    [
        ("dev/wav.scp", "dev0\n", "wav.scp:1"),
        ("dev/wav.scp", "dev0 sox x.wav -t wav - |\n", "wav.scp:1: .* no command"),
        (
            "dev/wav.scp",
            f"other {audio_of('dev', 0)}\n",
            "wav.scp:1: other has no line in segments",
        ),
        ("dev/wav.scp", f"dev0 {audio_of('dev', 0)}\n", "segments: dev1 is not in wav.scp"),
        ("test/segments", "a-test0-0.00 test0 0.5 0.5\n", "segments:1"),
        ("test/segments", "a-test0-0.00 test0 nan 0.5\n", "segments:1"),
        ("test/segments", "a-test0-0.00 test0 0.5\n", "segments:1"),
        ("test/segments", "unknown test0 0.0 0.5\n", "segments:1: unknown is not in utt2spk"),
        ("test/utt2spk", "alone\n", "utt2spk:1"),
        ("test/utt2spk", "", "utt2spk: empty"),
    ],
)
def test_a_damaged_table_is_named_with_its_line(root, tmp_path, name, line, problem):
    (root / name).write_text(line)
    with pytest.raises(DataError, match=problem):
        prepared("libri2mix", root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_table_is_named(root, tmp_path):
    (root / "test" / "segments").unlink()
    with pytest.raises(DataError, match="no test/segments"):
        prepared("libri2mix", root, tmp_path / "out")


def test_a_missing_mixture_is_counted(root, tmp_path):
    (root / audio_of("train", 1)).unlink()
    report = prepared("libri2mix", root, tmp_path / "out")
    assert found(report) == {"train": 1, "valid": 2, "test": 2}
    assert report["published"]["n_missing"] == 1
