"""A table of labels becomes manifest.jsonl; what cannot be used is named by its line."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earbit.audio import label_table
from earbit.audio.corpus import open_corpus
from earbit.errors import DataError

RATE_HZ = 16_000
REPORT = Path("report") / "manifest.json"
FILES = ("anna/yes.wav", "anna/no.wav", "bo's, own/yes.wav")


@pytest.fixture
def root(tmp_path):
    for name in FILES:
        path = tmp_path / "audio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(800), RATE_HZ)
    return tmp_path / "audio"


def table(root, text, encoding="utf-8"):
    path = root.parent / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


def write_manifest(root, table):
    return label_table.write_manifest(root, table, REPORT)


def records(root):
    lines = (root / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_cells_become_labels_and_empty_ones_do_not(root):
    rows = (
        "path,speaker,keyword,text,split\n"
        "anna/yes.wav,anna,yes,,train\n"
        'anna/no.wav, anna ,no,"oh no, ""no""",Development\n'
        '"bo\'s, own/yes.wav",007,yes,grüße,\n'
    )
    figures = write_manifest(root, table(root, rows))
    assert records(root) == [
        {"path": "anna/yes.wav", "speaker": "anna", "keyword": "yes", "split": "train"},
        {
            "path": "anna/no.wav",
            "speaker": "anna",
            "keyword": "no",
            "text": 'oh no, "no"',
            "split": "valid",
        },
        {"path": "bo's, own/yes.wav", "speaker": "007", "keyword": "yes", "text": "grüße"},
    ]
    assert (figures["n_lines"], figures["n_written"]) == (3, 3)
    assert (figures["unknown_columns"], figures["left_out"]) == ([], [])


def test_the_manifest_is_a_corpus(root):
    write_manifest(root, table(root, "path,keyword,speaker\nanna/yes.wav,yes,anna\n"))
    (cut,) = open_corpus(root).cuts
    assert cut.custom == {"keyword": "yes", "speaker": "anna"}
    assert cut.supervisions[0].speaker == "anna"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("breaks", ["\n", "\r\n"])
def test_any_delimiter_mark_and_line_end_is_read(root, delimiter, encoding, breaks):
    rows = [["Path", " keyword "], ["anna/yes.wav", "yes"], [], ["", ""], ["anna/no.wav", "no"]]
    text = breaks.join(delimiter.join(row) for row in rows)
    write_manifest(root, table(root, text, encoding))
    assert [(r["path"], r["keyword"]) for r in records(root)] == [
        ("anna/yes.wav", "yes"),
        ("anna/no.wav", "no"),
    ]


def test_columns_that_a_manifest_does_not_know_are_reported(root, capsys):
    rows = "path,keyword,Accent,,num_samples\nanna/yes.wav,yes,scots,3,1\n"
    figures = write_manifest(root, table(root, rows))
    assert figures["unknown_columns"] == ["accent", "", "num_samples"]
    assert records(root) == [{"path": "anna/yes.wav", "keyword": "yes"}]
    assert "columns not used: 'accent', '', 'num_samples'; allowed are path" in (
        capsys.readouterr().err
    )


BAD_ROWS = {
    "gone.wav,yes,train": "gone.wav: no such file",
    "anna,yes,train": "anna: no such file",
    ",yes,train": "`path` is empty",
    "anna/yes.wav,yes,train": "anna/yes.wav is on line 2 already",
    "./anna//yes.wav,yes,train": "anna/yes.wav is on line 2 already",
    "anna/no.wav,no": "2 cells, the line of column names has 3",
    "anna/no.wav,no,train,x": "4 cells, the line of column names has 3",
    "anna/no.wav,no,fold1": "split 'fold1'; allowed are train",
    "../audio/anna/no.wav,no,train": "leaves the folder",
    "/etc/passwd,no,train": "leaves the folder",
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_line_that_cannot_be_used_is_left_out_and_named(root, row, capsys):
    text = f"path,keyword,split\nanna/yes.wav,yes,train\n\n{row}\n"
    figures = write_manifest(root, table(root, text))
    assert records(root) == [{"path": "anna/yes.wav", "keyword": "yes", "split": "train"}]
    (left_out,) = figures["left_out"]
    assert left_out["line"] == 4
    assert BAD_ROWS[row] in left_out["reason"]
    said = capsys.readouterr().err
    assert "labels.csv:4: left out, " in said
    assert BAD_ROWS[row] in said


@pytest.mark.parametrize(
    ("n_bad", "more"), [(3, None), (4, "1 more line left out"), (8, "5 more lines left out")]
)
def test_of_many_bad_lines_the_first_are_named_and_the_rest_counted(root, capsys, n_bad, more):
    bad = "".join(f"gone{i}.wav,yes\n" for i in range(n_bad))
    figures = write_manifest(root, table(root, f"path,keyword\nanna/yes.wav,yes\n{bad}"))
    assert len(figures["left_out"]) == n_bad
    said = capsys.readouterr().err
    assert said.count(": left out, ") == 3
    assert ("more" in said) == (more is not None)
    assert more is None or f"labels.csv: {more}; see report/manifest.json" in said


def test_absolute_paths_below_the_folder_and_paths_of_windows_are_made_relative(root):
    rows = f"path,keyword\n{root.absolute() / 'anna/yes.wav'},yes\nanna\\no.wav,no\n"
    write_manifest(root, table(root, rows))
    assert [r["path"] for r in records(root)] == ["anna/yes.wav", "anna/no.wav"]


def test_a_manifest_is_never_overwritten(root):
    (root / "manifest.jsonl").write_text("mine")
    with pytest.raises(DataError, match=r"manifest.jsonl: exists already and is not overwritten"):
        write_manifest(root, table(root, "path,keyword\nanna/yes.wav,yes\n"))
    assert (root / "manifest.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no column `path` in line 1, ''"),
        ("file,keyword\nanna/yes.wav,yes\n", "no column `path` in line 1, 'file,keyword'"),
        (
            "anna/yes.wav,yes\n",
            "separated by comma, semicolon, tab, [|]; allowed are path, id, split",
        ),
        ("path,keyword,Keyword\n", "two columns are called 'keyword'"),
        ("path,accent\nanna/yes.wav,scots\n", "no column of labels among path, accent; allowed"),
        ("sep=;\npath,keyword\n", "no column `path` in line 2, 'path,keyword'"),
        ("path,keyword\n", "none of its 0 lines can be used"),
        ("path,keyword\ngone.wav,yes\n", "none of its 1 lines.*line 2: gone.wav: no such file"),
    ],
)
def test_a_table_without_use_is_refused_and_nothing_is_written(root, text, problem):
    with pytest.raises(DataError, match=problem):
        write_manifest(root, table(root, text))
    assert not (root / "manifest.jsonl").exists()


def test_a_table_that_is_not_there_or_a_folder_that_is_not_is_named(root, tmp_path):
    with pytest.raises(DataError, match="gone.csv: no such file; give the table of labels"):
        write_manifest(root, tmp_path / "gone.csv")
    with pytest.raises(DataError, match="gone: no such folder; give the folder of the audio"):
        write_manifest(tmp_path / "gone", table(root, "path,keyword\n"))


def test_a_missing_table_is_named_even_if_there_is_a_manifest(root, tmp_path):
    (root / "manifest.jsonl").write_text("mine")
    with pytest.raises(DataError, match="gone.csv: no such file"):
        write_manifest(root, tmp_path / "gone.csv")


def test_utf_16_of_a_spreadsheet_is_refused_by_its_name(root):
    with pytest.raises(DataError, match="the encoding is UTF-16, .*iconv -f UTF-16 -t UTF-8"):
        write_manifest(root, table(root, "path\tkeyword\nanna/yes.wav\tyes\n", "utf-16"))


@pytest.mark.skipif(shutil.which("iconv") is None, reason="no iconv")
def test_an_encoding_of_windows_is_refused_with_a_command_that_converts_it(root):
    path = table(root, "path,text\nanna/yes.wav,grüße\n", "windows-1252")
    with pytest.raises(DataError, match="not UTF-8 at byte 25") as error:
        write_manifest(root, path)
    command = str(error.value).split("if it is of Windows, convert it with: ")[1]
    subprocess.run(["sh", "-c", command], check=True)
    write_manifest(root, path)
    assert records(root)[0]["text"] == "grüße"


def test_a_cell_over_two_lines_does_not_shift_the_numbers_of_lines(root):
    rows = 'path,text\nanna/yes.wav,"one\ntwo"\ngone.wav,x\n'
    figures = write_manifest(root, table(root, rows))
    assert records(root) == [{"path": "anna/yes.wav", "text": "one\ntwo"}]
    assert [item["line"] for item in figures["left_out"]] == [4]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first", ["sep={}", '"sep={}"', "SEP={}"])
def test_a_line_of_excel_sets_the_delimiter_and_is_no_line_of_labels(root, delimiter, first):
    rows = [[first.format(delimiter)], ["path", "text"], ["anna/yes.wav", "a,b"], ["gone", ""]]
    rows[2][1] = '"a,b"'
    text = "\r\n".join(delimiter.join(row) for row in rows)
    figures = write_manifest(root, table(root, text, "utf-8-sig"))
    assert records(root) == [{"path": "anna/yes.wav", "text": "a,b"}]
    assert [item["line"] for item in figures["left_out"]] == [4]


def test_empty_cells_at_the_end_of_lines_are_no_cells(root, capsys):
    rows = (
        "path;keyword;split;;\n"
        "anna/yes.wav;yes;train;;\n"
        "anna/no.wav;no;;; ;;;\n"
        "bo's, own/yes.wav;yes;train\n"
        ";;;;\n"
    )
    figures = write_manifest(root, table(root, rows))
    assert [record.get("split") for record in records(root)] == ["train", None, "train"]
    assert (figures["unknown_columns"], figures["left_out"]) == ([], [])
    assert capsys.readouterr().err == ""


def test_an_extra_cell_that_is_not_empty_is_a_wrong_number_of_cells(root):
    rows = "path;keyword;;\nanna/yes.wav;yes;;\nanna/no.wav;no;;x\n"
    (left_out,) = write_manifest(root, table(root, rows))["left_out"]
    assert left_out == {"line": 3, "reason": "4 cells, the line of column names has 2"}


def test_phones_are_a_list_as_in_a_manifest(root):
    write_manifest(root, table(root, "path,phones\nanna/yes.wav,  j  ɛ s\n"))
    assert records(root) == [{"path": "anna/yes.wav", "phones": ["j", "ɛ", "s"]}]
