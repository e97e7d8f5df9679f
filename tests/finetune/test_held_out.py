"""Clips of validation and test are recognized in another corpus."""

import pytest

from earbit.audio.clips import Clip
from earbit.audio.place import WHOLE, Place
from earbit.finetune.held_out import HeldOut


def clip(path, place=WHOLE, n_samples=16_000):
    return Clip(str(path), path, n_samples, place)


def test_links_to_files_and_folders_are_followed(tmp_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.wav").touch()
    (tmp_path / "folder").symlink_to(tmp_path / "audio")
    (tmp_path / "other-name.wav").symlink_to(tmp_path / "folder" / "a.wav")
    known = HeldOut([clip(tmp_path / "audio" / "a.wav")])
    for name in ("audio/a.wav", "folder/a.wav", "other-name.wav"):
        assert known.has(clip(tmp_path / name, n_samples=99_000)), name
    assert not known.has(clip(tmp_path / "audio" / "b.wav"))
    assert not HeldOut([]).has(clip(tmp_path / "audio" / "a.wav"))


@pytest.mark.parametrize(
    ("held_out", "other", "is_known"),
    [
        (Place(first_frame=100, n_frames=50), WHOLE, True),
        (WHOLE, Place(first_frame=100, n_frames=50), True),
        (Place(channel=1), WHOLE, True),
        (Place(channel=1), Place(channel=0), False),
        (Place(first_frame=100, n_frames=50), Place(first_frame=149, n_frames=9), True),
        (Place(first_frame=100, n_frames=50), Place(first_frame=150, n_frames=9), False),
        (Place(n_frames=50, channel=1), Place(first_frame=40, n_frames=9), True),
        (Place(512, 0, -1, 0, 900, "a.wav"), Place(0, 0, -1, 900, 900, "a.wav"), False),
    ],
)
def test_parts_of_a_file_are_known_if_they_overlap(tmp_path, held_out, other, is_known):
    path = tmp_path / "a.wav"
    assert HeldOut([clip(path, held_out)]).has(clip(path, other, 900)) == is_known


def test_another_encoding_has_the_stem_and_nearly_the_length(tmp_path):
    known = HeldOut([clip(tmp_path / "task" / "a.b.opus")])
    shard = tmp_path / "audio-000.tar"
    assert known.has(clip(tmp_path / "copy" / "a.b.wav", n_samples=17_600))
    assert known.has(clip(shard, Place(0, 0, -1, 512, 900, "copy/a.b.flac")))
    assert not known.has(clip(tmp_path / "copy" / "a.b.wav", n_samples=17_601))
    assert not known.has(clip(tmp_path / "copy" / "a.wav"))
