"""Files are whole or not there, and an error says why, whatever stands in the way."""

import errno
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from earbit.errors import DataError
from earbit.files import (
    make_folder,
    name_of,
    path_named,
    require_place,
    writable,
    write_json,
    write_text,
    write_whole,
)


def test_a_parent_that_is_a_file_is_a_data_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written"):
        write_text(tmp_path / "file" / "out.txt", "y")
    with pytest.raises(DataError, match="cannot write there"):
        make_folder(tmp_path / "file" / "out")


def test_the_old_file_stays_when_the_new_one_fails_halfway(tmp_path):
    path = tmp_path / "out.txt"
    write_text(path, "old")

    def breaks_off(temporary):
        temporary.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match="No space left on device"):
        write_whole(path, breaks_off)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_new_name_is_on_the_disk_too(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def record(descriptor):
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), (tmp_path / "a.json").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    write_json(tmp_path / "a.json", {"a": 1})
    (content, was_there), (folder, is_there) = synced
    assert content.endswith(".tmp")
    assert not was_there
    assert folder == str(tmp_path)
    assert is_there


def test_a_written_file_is_as_readable_as_the_umask_lets_it(tmp_path):
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "x.safetensors", lambda path: save_file({"a": np.zeros(1)}, path))
    finally:
        os.umask(before)
    assert (tmp_path / "x.safetensors").stat().st_mode & 0o777 == 0o644


def test_a_place_for_a_file_is_looked_at_and_left_as_it_was(tmp_path):
    require_place(tmp_path / "a.txt")
    require_place(tmp_path / "new" / "deep" / "a.txt")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot write there"):
        require_place(tmp_path / "file" / "a.txt")
    with pytest.raises(DataError, match="a folder; give the name of a file"):
        require_place(tmp_path)


def test_a_file_system_without_permissions_takes_files(tmp_path, monkeypatch):
    def refuse(path, mode, **named):
        raise PermissionError(errno.EPERM, "Operation not permitted", path)

    monkeypatch.setattr(os, "chmod", refuse)
    write_whole(tmp_path / "x.safetensors", lambda path: save_file({"a": np.zeros(1)}, path))
    write_text(tmp_path / "x.txt", "text")
    assert (tmp_path / "x.txt").read_text() == "text"
    assert {path.name for path in tmp_path.iterdir()} == {"x.safetensors", "x.txt"}


def fails_on_folders(code):
    fsync = os.fsync

    def refuse(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    return refuse


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EPERM])
def test_a_file_system_that_flushes_no_folders_takes_files(tmp_path, monkeypatch, code):
    monkeypatch.setattr(os, "fsync", fails_on_folders(code))
    write_text(tmp_path / "x.txt", "text")
    assert (tmp_path / "x.txt").read_text() == "text"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_disk_that_fails_is_not_taken_for_one_that_cannot_flush(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", fails_on_folders(errno.EIO))
    with pytest.raises(DataError, match="x.txt: cannot be written .Input/output error"):
        write_text(tmp_path / "x.txt", "text")


def test_text_of_a_file_name_that_is_none_can_be_written(tmp_path):
    write_text(tmp_path / "x.txt", os.fsdecode(b"\xff.wav \xc3\xa4"))
    assert (tmp_path / "x.txt").read_bytes() == b"\\udcff.wav \xc3\xa4"


def test_the_name_of_a_path_is_text_in_utf_8():
    assert name_of(Path(os.fsdecode("ausgäbe".encode()))) == "ausgäbe"
    assert name_of(Path(os.fsdecode(b"a\xff\n.wav"))) == "a\\xff\n.wav"


def test_a_name_leads_back_to_its_path(tmp_path):
    for name in (b"a\xff.wav", "ü.wav".encode(), rb"b\xff.wav", b"c\x80\xc3.wav", rb"d\x41.wav"):
        path = tmp_path / os.fsdecode(name)
        path.touch()
        assert path_named(tmp_path, name_of(path.relative_to(tmp_path))) == path
    # A file with exactly this name comes before the file whose byte it could stand for.
    (tmp_path / r"a\xff.wav").touch()
    assert path_named(tmp_path, r"a\xff.wav") == tmp_path / r"a\xff.wav"


def test_a_value_for_json_has_no_half_characters():
    as_utf_8 = {"ü": ["ä\U0001f600", 1, None], "b": ("x",)}
    assert writable(as_utf_8) == {"ü": ["ä\U0001f600", 1, None], "b": ["x"]}
    half = {os.fsdecode(b"k\xff"): [os.fsdecode(b"\x80.wav"), "\ud800"]}
    assert writable(half) == {r"k\xff": [r"\x80.wav", r"\ud800"]}
    # The bytes of a character, one by one, as a process in the C locale has them.
    assert writable("\udcc3\udca4") == "ä"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "text\n")
    reader.join()
    assert read == ["text\n"]
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
