"""An output folder that cannot be used is refused before any work, and keeps its files."""

import pytest
from layouts import prepared, write_wav

from earbit.corpora.write import complete_or_absent
from earbit.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path):
    write_wav(tmp_path / "given" / "a.wav")
    (tmp_path / "given" / "train.tsv").write_text(".\na.wav\t1600\n")
    return tmp_path / "given"


def test_a_hidden_file_in_out_is_named_before_decoding_and_kept(root, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".DS_Store").write_text("kept")
    with pytest.raises(ConfigError, match=r"has the hidden file .DS_Store; remove it, or give"):
        prepared("tsv", root, tmp_path / "out")
    assert (tmp_path / "out" / ".DS_Store").read_text() == "kept"


def test_an_out_that_cannot_be_written_is_refused_before_decoding(root, tmp_path, monkeypatch):
    def decoded(*args):
        raise AssertionError("decoded")

    monkeypatch.setattr("earbit.corpora.prepare.decoded_levels", decoded)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write there .* give another output folder"):
        prepared("tsv", root, tmp_path / "file" / "out")


def test_a_folder_without_room_for_another_beside_it_keeps_its_files(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".kept").touch()

    def only_parents(path):
        if path != tmp_path:
            raise DataError(f"{path}: cannot write there")

    monkeypatch.setattr("earbit.corpora.write.make_folder", only_parents)
    with pytest.raises(DataError, match="cannot write there"), complete_or_absent(out):
        pass
    assert (out / ".kept").is_file()
