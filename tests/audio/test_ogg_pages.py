"""Ogg files that break off, and Ogg files within one; pages are found by hand here too."""

import io

import numpy as np
import pytest
import soundfile
from audio_bytes import LOSSY, RATE_HZ

from earbit.audio.decode import audio_info, read_audio
from earbit.audio.ogg_pages import ogg_links
from earbit.errors import DataError

OGG = ["x.ogg", "x.opus"]


def ogg_bytes(path, samples, rate_hz=RATE_HZ):
    soundfile.write(path, samples, rate_hz, **LOSSY[path.name])
    return path.read_bytes()


def noise(n_samples, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(n_samples).clip(-4, 4)


def page_starts(content):
    return [at for at in range(len(content)) if content[at : at + 4] == b"OggS"]


@pytest.mark.parametrize("name", OGG)
def test_a_file_without_its_last_page_is_refused_wherever_it_is_cut(tmp_path, name):
    path = tmp_path / name
    whole = ogg_bytes(path, noise(5 * RATE_HZ))
    starts = page_starts(whole)
    assert len(starts) > 4
    for cut in (*starts[3:], *(start + 40 for start in starts[2:]), len(whole) - 1):
        path.write_bytes(whole[:cut])
        for read in (read_audio, audio_info):
            with pytest.raises(DataError, match="breaks off, the last page of its stream is miss"):
                read(path)
    path.write_bytes(whole + b"tag of another program")
    assert read_audio(path).size == 5 * RATE_HZ


@pytest.mark.parametrize("name", OGG)
def test_joined_files_are_read_one_after_the_other(tmp_path, name):
    path = tmp_path / name
    parts, alone = [], []
    for seed, n_samples in enumerate((RATE_HZ, RATE_HZ // 2, 2 * RATE_HZ)):
        parts.append(ogg_bytes(path, noise(n_samples, seed)))
        alone.append(read_audio(path))
    path.write_bytes(b"".join(parts))
    expected = np.concatenate(alone)
    assert audio_info(path).n_samples == expected.size
    np.testing.assert_array_equal(read_audio(path), expected)


def test_joined_files_of_other_rates_and_channels_are_resampled_each(tmp_path):
    path = tmp_path / "x.ogg"
    first = ogg_bytes(path, np.stack([noise(48_000)] * 2, axis=1), 48_000)
    expected = read_audio(path)
    second = ogg_bytes(path, noise(8_000, 1), 8_000)
    expected = np.concatenate([expected, read_audio(path)])
    path.write_bytes(first + second)
    info = audio_info(path)
    assert (info.n_samples, info.rate_hz, info.n_channels) == (2 * RATE_HZ, 48_000, 2)
    np.testing.assert_array_equal(read_audio(path), expected)


def test_a_joined_file_that_breaks_off_in_any_part_is_refused(tmp_path):
    path = tmp_path / "x.ogg"
    part = ogg_bytes(path, noise(2 * RATE_HZ))
    for content in (part + part[: len(part) // 2], part[: len(part) // 2] + part):
        path.write_bytes(content)
        with pytest.raises(DataError, match="breaks off"):
            read_audio(path)


@pytest.mark.parametrize("serial", [5, 6])
def test_a_page_that_a_file_begins_in_is_cut(serial):
    whole = page(2, 5, b"OpusHead") + page(4, 5, bytes(100))
    content = whole[:-20] + page(2, serial, b"OpusHead") + page(4, serial, bytes(200))
    links = ogg_links(io.BytesIO(content), len(content))
    assert [link.breaks_off for link in links] == [True, False]
    # What only looks like the beginning of a page does not matter where another page follows.
    content = page(2, 5, b"OpusHead") + page(4, 5, b"OggS") + page(0, 9, b"")
    (link,) = ogg_links(io.BytesIO(content), len(content))
    assert not link.breaks_off


def page(flags, serial, body):
    head = b"OggS\0" + bytes([flags]) + bytes(8) + serial.to_bytes(4, "little") + bytes(8)
    return head + bytes([1, len(body)]) + body


def test_streams_that_begin_together_are_one_link_and_only_sound_must_end():
    picture = page(2, 7, b"\x80theora") + page(2, 8, b"OpusHead") + page(0, 7, b"x")
    whole = picture + page(4, 8, b"sound")
    content = whole + picture
    first, second = ogg_links(io.BytesIO(content), len(content))
    assert (first.start, first.end, first.open_streams) == (0, len(whole), set())
    assert (second.start, second.end, second.open_streams) == (len(whole), len(content), {8})


@pytest.mark.parametrize("content", [b"", b"OggS", b"OggS" + bytes(40), b"no page" * 20_000])
def test_bytes_without_a_first_page_have_no_link(content):
    assert ogg_links(io.BytesIO(content), len(content)) == []
