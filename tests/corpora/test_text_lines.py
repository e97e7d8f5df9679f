"""Text files and tables of corpora, with the faults that they come with."""

import pytest

from earbit.corpora.text_lines import files_in, table_rows, text_lines
from earbit.errors import DataError


def test_lines_have_no_mark_and_no_line_ends_of_windows(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone é\r\n\r\ntwo\r\n".encode())
    assert list(text_lines(path)) == [(1, "one é"), (3, "two")]
    assert list(text_lines(path, with_empty=True)) == [(1, "one é"), (2, ""), (3, "two")]


def test_files_that_macos_adds_are_no_files_of_the_corpus(tmp_path):
    for name in ("b.txt", "._b.txt", "a.txt", ".hidden.txt", "c.wav"):
        (tmp_path / name).touch()
    names = [path.name for path in files_in(tmp_path, "*.txt")]
    assert names == [".hidden.txt", "a.txt", "b.txt"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.csv: empty"),
        (b"\r\n \n", "a.csv: empty"),
        (b"path,word\n\xff,a\n", "a.csv:2: not UTF-8 at byte 0 of the line"),
        (b"pfad,wort\n", "a.csv:1: no column path and no word, the columns are pfad, wort"),
        (b"path,word\na.wav,b\n\nc.wav\n", "a.csv:4: 1 cells, the first line has 2"),
        ("path,word\n".encode("utf-16"), "the encoding is UTF-16"),
    ],
)
def test_a_damaged_table_is_named_with_its_line(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(table_rows(path, ("path", "word")))
    assert message in str(caught.value)


def test_quoted_cells_of_a_table_keep_their_commas(tmp_path):
    (tmp_path / "a.csv").write_text('path,word\na.wav,"on, please"\n')
    (row,) = table_rows(tmp_path / "a.csv", ("path",))
    assert row == (2, {"path": "a.wav", "word": "on, please"})
