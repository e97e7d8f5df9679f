"""Folders of audio: what is found, what is followed, what is named."""

import os
from pathlib import Path

import pytest

from earbit.audio.folder import audio_folder
from earbit.audio.formats import (
    CONVERTIBLE_SUFFIXES,
    READ_SUFFIXES,
    conversion_command,
    folder_conversion_command,
)


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names_in(folder):
    return [path.relative_to(folder.root).as_posix() for path in folder.files]


def test_files_are_found_by_every_suffix_that_is_read_in_any_case(tmp_path):
    names = [f"{suffix[1:]}/x{suffix}" for suffix in READ_SUFFIXES] + ["deep/er/X.WAV"]
    touch(tmp_path, *names, "notes.txt", "wav", "x.wav.part")
    folder = audio_folder(tmp_path)
    assert names_in(folder) == sorted(names)
    assert folder.notes() == []


def test_no_suffix_is_both_read_and_converted():
    assert not READ_SUFFIXES & CONVERTIBLE_SUFFIXES
    assert all(s == s.lower() and s[0] == "." for s in READ_SUFFIXES | CONVERTIBLE_SUFFIXES)


def test_files_that_look_like_audio_are_counted_by_suffix_with_the_command(tmp_path):
    touch(tmp_path, "a.m4a", "b/c.M4A", "d.caf", "e.webm", "f.txt")
    folder = audio_folder(tmp_path)
    assert folder.unread == {".m4a": 2, ".webm": 1}
    two, one = folder.notes()
    assert two.startswith(f"{tmp_path}: 2 .m4a files not read; convert with: find -L ")
    assert one.startswith(f"{tmp_path}: 1 .webm file not read; ")


def test_linked_folders_are_followed_and_paths_stay_below_the_root(tmp_path):
    root = tmp_path / "root"
    touch(tmp_path, "root/a.wav", "elsewhere/b.wav", "elsewhere/deep/c.wav")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    folder = audio_folder(root)
    assert names_in(folder) == ["a.wav", "link/b.wav", "link/deep/c.wav"]
    assert folder.skipped == ()


def test_a_real_folder_is_read_once_by_its_own_path_before_any_link(tmp_path):
    touch(tmp_path, "z/a.wav")
    for link in ("b", "c"):
        (tmp_path / link).symlink_to(tmp_path / "z")
    folder = audio_folder(tmp_path)
    assert names_in(folder) == ["z/a.wav"]
    assert folder.skipped == tuple(
        f"{tmp_path / link}: not followed, the same folder as {tmp_path / 'z'}" for link in "bc"
    )


def test_links_that_lead_back_are_named(tmp_path):
    touch(tmp_path, "root/sub/a.wav", "other/b.wav")
    root = tmp_path / "root"
    (root / "sub" / "up").symlink_to("..")
    (root / "to").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "from").symlink_to(root)
    (root / "self").symlink_to("self")
    folder = audio_folder(root)
    assert names_in(folder) == ["sub/a.wav", "to/b.wav"]
    assert folder.skipped == (
        f"{root / 'sub' / 'up'}: not followed, leads back to {root}",
        f"{root / 'to' / 'from'}: not followed, leads back to {root}",
    )


def test_a_link_to_a_missing_file_is_found_and_a_pipe_is_named(tmp_path):
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    folder = audio_folder(tmp_path)
    assert names_in(folder) == ["gone.wav"]
    assert folder.skipped == (
        f"{tmp_path / 'pipe.wav'}: a pipe or device, not read from folders; name it",
    )


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "a.wav", "closed/b.wav")
    scan = os.scandir

    def scandir(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    folder = audio_folder(tmp_path)
    assert names_in(folder) == ["a.wav"]
    assert folder.skipped == (f"{tmp_path / 'closed'}: folder cannot be read (Permission denied)",)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("a.m4a", "ffmpeg -i a.m4a a.wav"),
        ("in/a b.caf", "ffmpeg -i 'in/a b.caf' 'in/a b.wav'"),
        ("broken.wav", "ffmpeg -i broken.wav broken.flac"),
        ("-a.aac", "ffmpeg -i ./-a.aac ./-a.wav"),
        ("$(x).wma", "ffmpeg -i '$(x).wma' '$(x).wav'"),
    ],
)
def test_the_command_that_converts_a_file_can_be_pasted_into_a_shell(name, command):
    assert conversion_command(Path(name)) == command


def test_the_command_that_converts_a_folder_names_each_file_once(tmp_path):
    command = folder_conversion_command(tmp_path / "a b", ".m4a")
    assert command == (
        f"find -L '{tmp_path / 'a b'}' -iname '*.m4a' "
        """-exec sh -c 'ffmpeg -nostdin -i "$1" "${1%.*}.wav"' sh {} ';'"""
    )
