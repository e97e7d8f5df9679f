"""Parts of audio files: ranges, channels and members of archives, whole or a crop of them."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from earbit.audio.clips import Clip, read_clip
from earbit.audio.decode import audio_info, read_audio
from earbit.audio.place import WHOLE, Place, path_and_place, source_text
from earbit.audio.resampling import resampled_length
from earbit.errors import DataError

FORMATS = ["x.wav", "x.flac", "x.aiff", "x.au", "x.w64", "x.ogg", "x.mp3"]


def noise(n_samples, n_channels=1):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (n_samples, n_channels)).astype("f4")


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("start", "n_samples"), [(0, 9_000), (1, 16_000), (35_555, 4_445)])
def test_a_crop_has_the_bits_of_the_whole_clip(tmp_path, name, start, n_samples, n_channels):
    path = tmp_path / name
    soundfile.write(path, noise(40_000, n_channels), 16_000)
    clip = Clip("x", path, audio_info(path).n_samples)
    whole = read_clip(clip)
    np.testing.assert_array_equal(whole, read_audio(path))
    np.testing.assert_array_equal(
        read_clip(clip, start, n_samples), whole[start : start + n_samples]
    )


@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
@pytest.mark.parametrize("name", ["x.wav", "x.flac"])
def test_a_crop_at_another_rate_is_cut_out_after_resampling(tmp_path, name, rate_hz):
    soundfile.write(tmp_path / name, noise(60_000), rate_hz)
    clip = Clip("x", tmp_path / name, resampled_length(60_000, rate_hz))
    np.testing.assert_array_equal(read_clip(clip, 500, 700), read_clip(clip)[500:1200])


@pytest.mark.parametrize("name", FORMATS)
def test_a_range_of_a_long_recording_is_cut_out_of_its_samples(tmp_path, name):
    path = tmp_path / name
    soundfile.write(path, noise(50_000), 16_000)
    clip = Clip("x", path, 8_000, Place(first_frame=30_001, n_frames=8_000))
    expected = read_audio(path)[30_001:38_001]
    np.testing.assert_array_equal(read_clip(clip), expected)
    np.testing.assert_array_equal(read_clip(clip, 100, 200), expected[100:300])


def test_a_range_is_resampled_alone_and_a_channel_is_not_averaged(tmp_path):
    both = noise(50_000, 2)
    soundfile.write(tmp_path / "x.wav", both, 8_000, subtype="FLOAT")
    place = Place(first_frame=10_000, n_frames=4_000, channel=1)
    expected = soxr.resample(both[10_000:14_000, 1], 8_000, 16_000, quality="HQ")
    found = read_clip(Clip("x", tmp_path / "x.wav", 8_000, place))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_members_of_an_archive_are_files(tmp_path):
    soundfile.write(tmp_path / "x.flac", noise(20_000), 16_000)
    soundfile.write(tmp_path / "y.wav", noise(9_000), 16_000)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("x.flac", "y.wav"):
            archive.add(tmp_path / name, name)
    with tarfile.open(tmp_path / "a.tar") as archive:
        for info in archive:
            place = Place(first_byte=info.offset_data, n_bytes=info.size, member=info.name)
            n_samples = audio_info(tmp_path / info.name).n_samples
            clip = Clip("x", tmp_path / "a.tar", n_samples, place)
            np.testing.assert_array_equal(read_clip(clip), read_audio(tmp_path / info.name))
            part = read_clip(clip, 1000, 2000)
            np.testing.assert_array_equal(part, read_audio(tmp_path / info.name)[1000:3000])


def test_errors_name_file_and_member(tmp_path):
    soundfile.write(tmp_path / "x.wav", noise(1_000), 16_000)
    path = tmp_path / "x.wav"
    with pytest.raises(DataError, match=r"x.wav: 1000 samples, 2000 are needed"):
        read_clip(Clip("x", path, 1_500, Place(first_frame=500, n_frames=1_500)))
    with pytest.raises(DataError, match=r"x.wav: channel 1 \(counted from 0\) of 1"):
        read_clip(Clip("x", path, 1_000, Place(channel=1)))
    with pytest.raises(DataError, match=r"x.wav/m.flac: breaks off after 2044 of 9999 bytes"):
        read_clip(Clip("x", path, 1_000, Place(first_byte=0, n_bytes=9_999, member="m.flac")))
    with pytest.raises(DataError, match=r"`num_samples` is 5000, the file has 1000"):
        read_clip(Clip("x", path, 5_000), 0, 500)


@pytest.mark.parametrize("place", [WHOLE, Place(5, 6, 1), Place(0, 0, -1, 7, 8, "a b.flac")])
def test_a_text_gives_path_and_place_back(place):
    assert path_and_place(source_text(Path("a/b é"), place)) == (Path("a/b é"), place)
