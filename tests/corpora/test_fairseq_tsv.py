"""Tables of fairseq, with their files of labels beside them."""

import pytest
from layouts import found, manifest, prepared, tree, write_wav

from earbit.errors import DataError

TABLES = {"train": ("a/1.wav", "a/2.wav"), "dev_other": ("b/1.wav",)}


@pytest.fixture
def root(tmp_path):
    folder, audio = tmp_path / "manifest", tmp_path / "audio"
    folder.mkdir()
    for name, paths in TABLES.items():
        for path in paths:
            write_wav(audio / path)
        lines = [str(audio), *(f"{path}\t1600" for path in paths)]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_table_and_a_folder_of_tables_are_read(root, tmp_path, capsys):
    report = prepared("tsv", root, tmp_path / "all")
    assert found(report) == {"train": 2, "valid": 1}
    assert ": train 2, valid 1 files\n" in capsys.readouterr().err
    assert manifest(tmp_path / "all")["a/1"] == {"path": "audio/a/1.wav", "split": "train"}
    (root / "mine.tsv").write_text((root / "train.tsv").read_text())
    report = prepared("tsv", root / "mine.tsv", tmp_path / "one")
    assert found(report) == {"none": 2}
    assert ": 2 files without a split\n" in capsys.readouterr().err
    assert report["published"]["root"] == str(tmp_path / "audio")


def test_letters_words_and_phones_belong_to_the_lines(root, tmp_path):
    (root / "train.ltr").write_text("H I | Y O U |\nN O |\n")
    (root / "train.phn").write_text("HH AY\n\n")
    (root / "dev_other.ltr").write_text("B A D |\n")
    (root / "dev_other.wrd").write_text("GOOD WORDS\n")
    prepared("tsv", root, tmp_path / "out")
    clips = manifest(tmp_path / "out")
    assert [clips[name].get("text") for name in ("a/1", "a/2", "b/1")] == [
        "HI YOU", "NO", "GOOD WORDS",
    ]  # fmt: skip
    assert [clips[name].get("phones") for name in ("a/1", "a/2", "b/1")] == [["HH", "AY"], [], None]


def test_tables_of_two_folders_share_the_one_above(root, tmp_path):
    (root / "dev_other.tsv").write_text(f"{tmp_path / 'audio' / 'b'}\r\n1.wav\t1600\r\n")
    prepared("tsv", root, tmp_path / "out")
    assert manifest(tmp_path / "out")["b/1"]["path"] == "audio/b/1.wav"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.tsv", "/nowhere/else\na.wav\t1\n", "train.tsv:1: /nowhere/else: no such folder"),
        (
            "train.tsv",
            "../audio\na/1.wav 1600\n",
            "train.tsv:2: 'a/1.wav 1600'; expected PATH<tab>",
        ),
        ("train.tsv", "../audio\na/1.wav\tlong\n", "train.tsv:2: .*; expected PATH<tab>N_SAMPLES"),
        ("train.tsv", "../audio\na/1.wav\t1\na/1.wav\t1\n", "two clips have the id 'a/1'"),
        ("train.tsv", "", "train.tsv: empty"),
        ("train.ltr", "H I |\n", "train.ltr: 1 lines, .*train.tsv has 2 files"),
    ],
)
def test_a_damaged_table_is_named_and_nothing_is_written(root, tmp_path, name, content, message):
    (root / name).write_text(content)
    before = tree(tmp_path)
    with pytest.raises(DataError, match=message):
        prepared("tsv", root, tmp_path / "out")
    assert tree(tmp_path) == before


def test_a_folder_without_tables_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no .tsv in it; give a FILE.tsv"):
        prepared("tsv", tmp_path, tmp_path / "out")


def test_a_table_without_files_is_named(root, tmp_path):
    (root / "train.tsv").write_text("../audio\n")
    with pytest.raises(DataError, match=r"train.tsv: no clip in it that a task uses"):
        prepared("tsv", root / "train.tsv", tmp_path / "out")
