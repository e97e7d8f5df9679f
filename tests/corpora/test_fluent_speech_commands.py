"""Fluent Speech Commands in its own layout: three tables, and files by speaker."""

import pytest
from layouts import found, manifest, prepared, tree, write_wav

from earbit.cli.main import main
from earbit.errors import DataError

HEADER = ",path,speakerId,transcription,action,object,location\n"
INTENTS = [
    ("Turn on the lights, please", "activate", "lights", "none"),
    ("Heat the kitchen", "increase", "heat", "kitchen"),
]
SPEAKERS = {"train": "2BqVo8kVB2Skwgyb", "valid": "Gv8kVB2", "test": "R2Skwgyb"}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "fluent_speech_commands_dataset"
    (folder / "data").mkdir(parents=True)
    for split, speaker in SPEAKERS.items():
        rows = []
        for i, (text, action, thing, place) in enumerate(INTENTS):
            path = f"wavs/speakers/{speaker}/{split}-0a3129c0-{i}.wav"
            write_wav(folder / path, 4_800, 300 + 900 * i)
            rows.append(f'{i},{path},{speaker},"{text}",{action},{thing},{place}\n')
        (folder / "data" / f"{split}_data.csv").write_text(HEADER + "".join(rows))
    return folder


def test_an_intent_is_action_object_and_location(root, tmp_path):
    report = prepared("fluent-speech-commands", root, tmp_path / "out")
    assert report["published"]["files"] == {
        "train": {"found": 2, "published": 23_132},
        "valid": {"found": 2, "published": 3_118},
        "test": {"found": 2, "published": 3_793},
    }
    name = "wavs/speakers/2BqVo8kVB2Skwgyb/train-0a3129c0-0"
    assert manifest(tmp_path / "out")[name] == {
        "path": f"audio/{name}.wav",
        "split": "train",
        "speaker": "2BqVo8kVB2Skwgyb",
        "text": "Turn on the lights, please",
        "intent": ["activate", "lights", "none"],
    }
    assert "ic" in report["tasks"]


def edit(root, change, split="train"):
    path = root / "data" / f"{split}_data.csv"
    path.write_bytes(change(path.read_bytes()))


def test_windows_line_ends_and_a_mark_change_nothing(root, tmp_path):
    prepared("fluent-speech-commands", root, tmp_path / "before")
    edit(root, lambda table: b"\xef\xbb\xbf" + table.replace(b"\n", b"\r\n"))
    prepared("fluent-speech-commands", root, tmp_path / "after")
    assert manifest(tmp_path / "before") == manifest(tmp_path / "after")


def test_a_table_without_speakers_is_reported_once(root, tmp_path):
    edit(root, lambda table: table.replace(b"speakerId", b"speaker"))
    report = prepared("fluent-speech-commands", root, tmp_path / "out")
    assert report["published"]["remarks"] == [
        f"{root}/data/train_data.csv: no column speakerId, so its clips have no speaker"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace(b"action", b"verb"), r"train_data.csv:1: no column action"),
        (lambda t: t.replace(b"activate", b""), r"train_data.csv:2: no action; correct"),
        (lambda t: t.replace(b",heat,", b","), r"train_data.csv:3: 6 cells, the first line has 7"),
        (lambda t: t + t.splitlines()[1], r"two clips have the id"),
        (lambda t: b"", r"train_data.csv: empty"),
    ],
)
def test_a_damaged_table_is_named_and_nothing_is_written(root, tmp_path, change, message):
    edit(root, change)
    before = tree(tmp_path)
    with pytest.raises(DataError, match=message):
        prepared("fluent-speech-commands", root, tmp_path / "out")
    assert tree(tmp_path) == before


def test_a_missing_table_names_the_layout_and_the_form(root, tmp_path):
    (root / "data" / "valid_data.csv").unlink()
    with pytest.raises(DataError) as caught:
        prepared("fluent-speech-commands", root, tmp_path / "out")
    assert "no data/valid_data.csv; expected below --root: data/train_data.csv" in str(caught.value)
    assert "by the form at https://fluent.ai" in str(caught.value)


def test_missing_audio_is_counted(root, tmp_path):
    next((root / "wavs").glob("*/*/train-*-1.wav")).unlink()
    report = prepared("fluent-speech-commands", root, tmp_path / "out")
    assert found(report) == {"train": 1, "valid": 2, "test": 2}
    assert report["published"]["n_missing"] == 1


def test_superb_runs_on_it(root, tmp_path):
    out = tmp_path / "out"
    main(["prepare", "fluent-speech-commands", "--root", str(root), "--out", str(out)])
    run = ["superb", "fbank", "--task", "ic", "--data", str(out), "--n-steps", "2", "--lrs", "1e-2"]
    main([*run, "--protocol", "superb", "--out", str(tmp_path / "ic")])
    assert (tmp_path / "ic" / "scores.json").is_file()
