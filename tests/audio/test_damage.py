"""Damage in the middle of compressed files, which decoders skip without an error."""

import numpy as np
import pytest
import soundfile

from earbit.audio.decode import read_audio
from earbit.audio.mpeg_frames import parse_header
from earbit.errors import DataError

HOLE_BYTES = 2_000
FORMATS = {"vorbis": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III")}


def speech_like(seconds=5):
    t_s = np.arange(seconds * 16_000) / 16_000
    noise = 0.02 * np.random.default_rng(0).standard_normal(t_s.size)
    return 0.3 * np.sin(2 * np.pi * 300 * t_s * (1 + 0.2 * np.sin(t_s))) + noise


def encoded(tmp_path, name):
    path = tmp_path / f"x.{'mp3' if name == 'mp3' else 'ogg'}"
    container, codec = FORMATS[name]
    soundfile.write(path, speech_like(), 16_000, format=container, subtype=codec)
    return path, path.read_bytes()


def without_info_frame(data):
    """An mp3 as streams have it: without the frame that counts the frames."""
    header = parse_header(int.from_bytes(data[:4]))
    return data[header.n_bytes :]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("eighth", range(1, 7))
def test_a_hole_anywhere_is_refused(tmp_path, name, eighth):
    path, data = encoded(tmp_path, name)
    assert read_audio(path).size == 80_000
    at = len(data) * eighth // 8
    path.write_bytes(data[:at] + bytes(HOLE_BYTES) + data[at + HOLE_BYTES :])
    with pytest.raises(DataError, match=r"damaged, a page is missing|breaks off"):
        read_audio(path)


@pytest.mark.parametrize("eighth", range(1, 7))
def test_a_hole_in_an_mp3_that_does_not_count_its_frames_is_refused(tmp_path, eighth):
    path, data = encoded(tmp_path, "mp3")
    data = without_info_frame(data)
    path.write_bytes(data)
    whole = read_audio(path).size
    at = len(data) * eighth // 8
    path.write_bytes(data[:at] + bytes(HOLE_BYTES) + data[at + HOLE_BYTES :])
    with pytest.raises(DataError, match="damaged, .* bytes between its frames"):
        read_audio(path)
    # Bytes between two joined files are no damage: the second does not refer to the first.
    path.write_bytes(data + bytes(HOLE_BYTES) + data)
    assert read_audio(path).size >= 2 * whole - 2_400


@pytest.mark.parametrize("name", ["vorbis", "opus"])
def test_a_lost_page_is_refused(tmp_path, name):
    path, data = encoded(tmp_path, name)
    pages = [b"OggS" + page for page in data.split(b"OggS")[1:]]
    assert len(pages) > 4
    path.write_bytes(b"".join(pages[:3] + pages[4:]))
    with pytest.raises(DataError, match="damaged, a page is missing"):
        read_audio(path)
