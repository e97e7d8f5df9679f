"""LibriSpeech in its own layout: SET/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt and FLAC files."""

import numpy as np
import pytest
import soundfile
from layouts import found, manifest, prepared, tree

from earbit.cli.main import main
from earbit.errors import DataError

SETS = {"train-clean-100": (103, 104, 105), "dev-clean": (1272,), "test-clean": (1089,)}
LEXICON_200K = "HELLO\tHH AH0 L OW1\nHELLO\tHH EH0 L OW1\nWORLD\tW ER1 L D\n"


@pytest.fixture
def root(tmp_path):
    """Two clips for each speaker: HELLO WORLD and GOODBYE."""
    folder = tmp_path / "LibriSpeech"
    random = np.random.default_rng(0)
    for name, speakers in SETS.items():
        for speaker in speakers:
            chapter = folder / name / str(speaker) / "7"
            chapter.mkdir(parents=True)
            texts = "".join(
                f"{speaker}-7-000{i} {text}\n" for i, text in enumerate(["HELLO WORLD", "GOODBYE"])
            )
            (chapter / f"{speaker}-7.trans.txt").write_text(texts)
            for i in range(2):
                audio = 0.1 * random.standard_normal(8_000)
                soundfile.write(chapter / f"{speaker}-7-000{i}.flac", audio, 16_000)
    return folder


def write_lexicon(root):
    (root / "librispeech-lexicon-200k-g2p.txt").write_text(LEXICON_200K)
    (root / "librispeech-lexicon-allothers-g2p.txt").write_text("HELLO\tX\n")


def test_speakers_texts_and_splits_are_read(root, tmp_path):
    report = prepared("librispeech", root, tmp_path / "out")
    assert report["published"]["files"] == {
        "train": {"found": 6, "published": 28_539},
        "valid": {"found": 2, "published": 2_703},
        "test": {"found": 2, "published": 2_620},
    }
    assert manifest(tmp_path / "out")["1272-7-0000"] == {
        "path": "audio/dev-clean/1272/7/1272-7-0000.flac",
        "split": "valid",
        "speaker": "1272",
        "text": "HELLO WORLD",
    }
    assert "asr" in report["tasks"]
    assert "pr" not in report["tasks"]
    (remark,) = report["published"]["remarks"]
    assert "no librispeech-lexicon-200k-g2p.txt" in remark
    assert "pr is not possible" in remark


def test_phones_are_the_first_pronunciation_of_every_known_word(root, tmp_path):
    write_lexicon(root)
    report = prepared("librispeech", root, tmp_path / "out")
    clips = manifest(tmp_path / "out")
    assert clips["103-7-0000"]["phones"] == ["HH", "AH0", "L", "OW1", "W", "ER1", "L", "D"]
    assert "phones" not in clips["103-7-0001"]
    assert report["published"]["remarks"] == [
        "5 words without phones, not in the lexicon, the first: GOODBYE"
    ]
    assert {"asr", "pr"} <= {*report["tasks"]}


def test_without_the_training_folder_the_rest_is_read_and_it_is_said(root, tmp_path):
    (root / "train-clean-100").rename(tmp_path / "elsewhere")
    report = prepared("librispeech", root, tmp_path / "out")
    assert found(report) == {"train": 0, "valid": 2, "test": 2}
    assert "no train-clean-100; scores do not compare" in report["published"]["remarks"][0]
    assert "--resplit" in report["tasks_without_labels"]["asr"]


def test_folders_that_superb_does_not_use_are_said_and_read_by_the_layout(root, tmp_path):
    (root / "dev-clean").rename(root / "dev-other")
    report = prepared("librispeech", root, tmp_path / "out")
    assert "dev-other: not read, SUPERB uses train-clean-100" in report["published"]["remarks"][0]
    (root / "test-clean").rename(root / "books")
    report = prepared("librispeech-layout", root, tmp_path / "all")
    assert found(report) == {"none": 2, "train": 6, "valid": 2}
    (root / "train-clean-100").rename(root / "train-clean-360")
    with pytest.raises(DataError, match=r"no train-clean-100 .*prepare librispeech-layout`"):
        prepared("librispeech", root, tmp_path / "none")


def test_windows_line_ends_a_mark_and_files_of_macos_change_nothing(root, tmp_path):
    prepared("librispeech", root, tmp_path / "before")
    for path in root.glob("*/*/*/*.trans.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
        path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07\xff")
    prepared("librispeech", root, tmp_path / "after")
    assert manifest(tmp_path / "before") == manifest(tmp_path / "after")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("104-7-0000 OF ANOTHER CHAPTER\n", "expected SPEAKER-CHAPTER-NUMBER TEXT"),
        ("103-7-0000\n", "expected SPEAKER-CHAPTER-NUMBER TEXT"),
        ("103-7-0000 ONE\n103-7-0000 TWO\n", "two clips have the id '103-7-0000'"),
        ("", "103-7.trans.txt: empty"),
    ],
)
def test_a_damaged_transcript_is_named_and_nothing_is_written(root, tmp_path, content, message):
    (root / "train-clean-100" / "103" / "7" / "103-7.trans.txt").write_text(content)
    before = tree(tmp_path)
    with pytest.raises(DataError, match=message):
        prepared("librispeech", root, tmp_path / "out")
    assert tree(tmp_path) == before


def test_a_damaged_lexicon_is_named(root, tmp_path):
    write_lexicon(root)
    (root / "librispeech-lexicon-200k-g2p.txt").write_text("HELLO\n")
    with pytest.raises(DataError, match=r"200k-g2p.txt:1: 'HELLO'; expected WORD PHONE PHONE"):
        prepared("librispeech", root, tmp_path / "out")


def test_superb_runs_on_it(root, tmp_path, capsys):
    pytest.importorskip("jiwer")
    write_lexicon(root)
    main(["prepare", "librispeech", "--root", str(root), "--out", str(tmp_path / "out")])
    capsys.readouterr()
    run = ["superb", "fbank", "--task", "pr", "--data", str(tmp_path / "out"), "--n-steps", "2"]
    main([*run, "--lrs", "1e-2", "--protocol", "superb", "--out", str(tmp_path / "pr")])
    assert (tmp_path / "pr" / "scores.json").is_file()
