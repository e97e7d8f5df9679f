"""Audio SNIPS in the layout that s3prl makes: texts with slots, and files by split."""

import pytest
from layouts import found, manifest, prepared, tree, write_wav

from earbit.cli.main import main
from earbit.errors import DataError
from earbit.heads.metrics import slots_in
from earbit.superb.tasks import TASKS

SPEAKERS = {"train": "Ivy Joanna", "valid": "Aditi", "test": "Brian"}
LINES = [
    ("BOS PLAY THE SONG THE END EOS", "O O O O track track PlayMusic"),
    ("BOS ADD ROCK & ROLL , PLEASE EOS", "O O genre genre genre O O AddToPlaylist"),
    ("BOS WILL IT RAIN EOS", "O O O O GetWeather"),
]


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "SNIPS"
    lines = []
    for split, speakers in SPEAKERS.items():
        # The texts of every split are also those of the other speakers, without audio there.
        for speaker in [*speakers.split(), "Salli" if split == "test" else "Emma"]:
            for i, (text, tags) in enumerate(LINES):
                name = f"{speaker}-snips-{split}-{i}"
                lines.append(f"{name} {text}\t{tags}\n")
                if speaker in speakers:
                    write_wav(folder / split / f"{name}.wav", 8_000, 300 + 500 * i)
    (folder / "all.iob.snips.txt").write_text("".join(lines))
    (folder / "slots.txt").write_text("O\ntrack\ngenre\n")
    return folder


def test_slots_are_read_with_their_place(root, tmp_path):
    report = prepared("audio-snips", root, tmp_path / "out")
    assert report["published"]["files"] == {
        "train": {"found": 6, "published": 104_672},
        "valid": {"found": 3, "published": 2_800},
        "test": {"found": 3, "published": 2_800},
    }
    clips = manifest(tmp_path / "out")
    assert clips["Ivy-snips-train-0"] == {
        "path": "audio/train/Ivy-snips-train-0.wav",
        "split": "train",
        "speaker": "Ivy",
        "text": "PLAY THE SONG THE END",
        "slots": [["track", "THE END", 3]],
    }
    assert clips["Ivy-snips-train-1"]["text"] == "ADD ROCK AND ROLL PLEASE"
    assert clips["Ivy-snips-train-1"]["slots"] == [["genre", "ROCK AND ROLL", 1]]
    assert clips["Ivy-snips-train-2"]["slots"] == []
    assert "sf" in report["tasks"]


@pytest.mark.parametrize(
    ("text", "tags", "marked"),
    [
        # The first word of the value also stands before it.
        ("THE SONG THE", "O O track", "THE SONG B-track THE E-track"),
        ("A B", "track genre", "B-track A E-track B-genre B E-genre"),
        # Tags mark no beginnings, so neighbours of one type are one value, as in s3prl.
        ("A B", "track track", "B-track A B E-track"),
        ("A ; B", "track O track", "B-track A B E-track"),
        ("A  B", "track O genre", "B-track A E-track B-genre B E-genre"),
        ("A TO B", "track O track", "B-track A E-track TO B-track B E-track"),
        ("A B", "O O", "A B"),
    ],
)
def test_targets_by_hand(root, tmp_path, text, tags, marked):
    path = root / "all.iob.snips.txt"
    lines = path.read_text().splitlines()
    lines[0] = f"Ivy-snips-train-0 BOS {text} EOS\tO {tags} Intent"
    path.write_text("\n".join(lines))
    prepared("audio-snips", root, tmp_path / "out")
    clip = manifest(tmp_path / "out")["Ivy-snips-train-0"]
    other = {"text": "A", "slots": {"track": "A"}}  # a corpus without any slot has no targets
    symbols, _ = TASKS["sf"].targets_of([{**clip, "speaker": "Ivy"}, other])
    assert "".join(symbols) == marked
    assert len(slots_in(symbols)) == marked.count("B-")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\t", " ", r"txt:1: .* expected `SPEAKER"),
        ("BOS PLAY", "PLAY", r"txt:1: .* expected `SPEAKER"),
        ("track track PlayMusic", "track place PlayMusic", r"which has no place"),
        ("Ivy-snips-train-0", "Ivy-snips-other-0", r"expected a split among train, valid, test"),
        ("Ivy-snips-train-1", "Ivy-snips-train-0", r"two clips have the id 'Ivy-snips-train-0'"),
    ],
)
def test_a_damaged_table_is_named_and_nothing_is_written(root, tmp_path, old, new, message):
    path = root / "all.iob.snips.txt"
    path.write_text(path.read_text().replace(old, new, 1))
    before = tree(tmp_path)
    with pytest.raises(DataError, match=message):
        prepared("audio-snips", root, tmp_path / "out")
    assert tree(tmp_path) == before


def test_lines_without_one_slot_per_word_are_read_up_to_the_shorter_end_and_said(root, tmp_path):
    path = root / "all.iob.snips.txt"
    path.write_text(path.read_text().replace("O O O O track track Pl", "O O O O track Pl", 1))
    report = prepared("audio-snips", root, tmp_path / "out")
    assert manifest(tmp_path / "out")["Ivy-snips-train-0"]["slots"] == [["track", "THE", 3]]
    (remark,) = report["published"]["remarks"]
    assert "1 lines have not one slot per word, the first is line 1" in remark


def test_windows_line_ends_and_a_mark_change_nothing(root, tmp_path):
    prepared("audio-snips", root, tmp_path / "before")
    for name in ("all.iob.snips.txt", "slots.txt"):
        path = root / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    prepared("audio-snips", root, tmp_path / "after")
    assert manifest(tmp_path / "before") == manifest(tmp_path / "after")


def test_files_of_other_speakers_and_files_without_a_line_are_counted(root, tmp_path):
    write_wav(root / "train" / "Emma-snips-train-0.wav")
    write_wav(root / "train" / "Ivy-snips-train-9.wav")
    report = prepared("audio-snips", root, tmp_path / "out")
    assert found(report)["train"] == 6
    assert "2 audio files without a line or not used" in report["ignored"][0]


def test_superb_runs_on_it(root, tmp_path):
    pytest.importorskip("jiwer")
    out = tmp_path / "out"
    main(["prepare", "audio-snips", "--root", str(root), "--out", str(out)])
    run = ["superb", "fbank", "--task", "sf", "--data", str(out), "--n-steps", "2"]
    main([*run, "--protocol", "proxy", "--out", str(tmp_path / "sf")])
    assert (tmp_path / "sf" / "scores.json").is_file()
