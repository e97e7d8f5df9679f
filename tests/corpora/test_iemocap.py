"""IEMOCAP in its own layout: SessionN/sentences/wav/DIALOG/NAME.wav and dialog/EmoEvaluation."""

import pytest
from layouts import found, manifest, prepared, write_wav

from earbit.errors import DataError

EMOTIONS = ("neu", "hap", "exc", "ang", "sad", "fru", "xxx")
HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"


def name_of(session, gender, number):
    return f"Ses0{session}F_impro01_{gender}{number:03d}"


def turns(session, line_end="\n"):
    """An evaluation with turns of both actors in all emotions, and lines of single raters."""
    lines = [HEADER.replace("\n", line_end)]
    for gender in "FM":
        for i, emotion in enumerate(EMOTIONS):
            name = name_of(session, gender, i)
            lines.append(f"[{i}.5 - {i + 1}.25]\t{name}\t{emotion}\t[2.5, 2.5, 2.5]{line_end}")
            lines.append(f"C-E2:\tNeutral;\t(){line_end}A-E3:\tval 3;\t(){line_end}{line_end}")
    return "".join(lines)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "IEMOCAP"
    for session in range(1, 6):
        folder = root / f"Session{session}"
        for gender in "FM":
            for i in range(len(EMOTIONS)):
                name = name_of(session, gender, i)
                path = folder / "sentences" / "wav" / name.rpartition("_")[0] / f"{name}.wav"
                write_wav(path, hz=200 + 10 * i)
        evaluation = folder / "dialog" / "EmoEvaluation" / f"Ses0{session}F_impro01.txt"
        evaluation.parent.mkdir(parents=True)
        evaluation.write_text(turns(session))
    return root


def test_four_classes_with_excitement_as_happiness_and_a_fold_per_session(root, tmp_path, capsys):
    report = prepared("iemocap", root, tmp_path / "out")
    lines = manifest(tmp_path / "out")
    assert lines["Ses03F_impro01_M002"] == {
        "path": "audio/Session3/sentences/wav/Ses03F_impro01/Ses03F_impro01_M002.wav",
        "speaker": "Ses03M",
        "gender": "m",
        "emotion": "hap",
        "fold": "Session3",
    }
    emotions = [line["emotion"] for line in lines.values()]
    assert {e: emotions.count(e) for e in emotions} == {"neu": 10, "hap": 20, "ang": 10, "sad": 10}
    assert found(report) == {"none": 50}
    assert report["published"]["files"]["none"]["published"] == 5_531
    assert "20 utterances of other emotions" in " ".join(report["published"]["remarks"])
    assert "er" in report["tasks"]


def test_line_ends_of_windows_a_mark_and_files_of_macos_change_nothing(root, tmp_path):
    prepared("iemocap", root, tmp_path / "one")
    folder = root / "Session2" / "dialog" / "EmoEvaluation"
    (folder / "Ses02F_impro01.txt").write_bytes(b"\xef\xbb\xbf" + turns(2, "\r\n").encode())
    (folder / "._Ses02F_impro01.txt").write_bytes(b"\x00\x05\x16\x07")
    prepared("iemocap", root, tmp_path / "two")
    assert manifest(tmp_path / "one") == manifest(tmp_path / "two")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[1.0 - 2.0]\tSes02F_impro01_F000\tneu\n", "Ses02F_impro01.txt:1"),
        ("[1.0 - 2.0] Ses02F_impro01_F000 neu [1, 1, 1]\n", "Ses02F_impro01.txt:1"),
        ("[1.0 - 2.0]\tutterance\tneu\t[1, 1, 1]\n", "Ses02F_impro01.txt:1"),
        ("", "Ses02F_impro01.txt: empty"),
    ],
)
def test_a_damaged_evaluation_is_named_and_nothing_is_written(root, tmp_path, line, problem):
    (root / "Session2" / "dialog" / "EmoEvaluation" / "Ses02F_impro01.txt").write_text(line)
    with pytest.raises(DataError, match=problem):
        prepared("iemocap", root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_session_is_named_with_the_form(root, tmp_path):
    (root / "Session4").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"no Session4/sentences/wav .*iemocap_release") as error:
        prepared("iemocap", root, tmp_path / "out")
    assert "\n" not in str(error.value)
