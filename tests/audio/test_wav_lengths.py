"""Wav files whose header does not know the length of the sound, and those that are not whole."""

import struct

import numpy as np
import pytest
import soundfile
from audio_bytes import RATE_HZ, frames_counted, mp3_bytes, wav_bytes

from earbit.audio.decode import audio_info, read_audio
from earbit.errors import DataError

LIST = b"LIST" + struct.pack("<I", 12) + b"INFOISFT\0\0\0\0"


@pytest.mark.parametrize(
    "claimed_bytes",
    [0, 0x7FFF0000, 0x7FFFF000, 0x7FFFFFD3, 0x7FFFFFFF, 0x80000000, 0xFFFFF000, 0xFFFFFFD3]
    + [0xFFFFFFFF],
    ids=hex,
)
def test_a_placeholder_for_the_length_means_to_the_end_of_the_file(tmp_path, tone, claimed_bytes):
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(tone, claimed_bytes=claimed_bytes))
    waveform = read_audio(path)
    assert waveform.size == audio_info(path).n_samples == tone.size
    np.testing.assert_allclose(waveform, tone, atol=1e-4)


@pytest.mark.parametrize("long_length", [0, 2**63 - 1, 2**64 - 1])
@pytest.mark.parametrize("short_length", [0, 0xFFFFFFFF])
def test_an_rf64_file_of_a_pipe_is_read_to_its_end(tmp_path, tone, short_length, long_length):
    path = tmp_path / "x.wav"
    content = wav_bytes(tone, claimed_bytes=short_length)
    sizes = b"ds64" + struct.pack("<IQQQI", 28, long_length, long_length, 0, 0)
    path.write_bytes(b"RF64" + content[4:12] + sizes + content[12:])
    np.testing.assert_allclose(read_audio(path), tone, atol=1e-4)


@pytest.mark.parametrize("claimed_bytes", [32_001, 64_000, 0x7FFE0000, 0x90000000, 0xFFFE0000])
def test_a_length_that_somebody_meant_is_believed(tmp_path, tone, claimed_bytes):
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(tone, claimed_bytes=claimed_bytes))
    with pytest.raises(DataError, match=f"breaks off {claimed_bytes - 32_000} bytes before the en"):
        read_audio(path)


def test_a_chunk_without_samples_before_other_chunks_is_empty(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(np.zeros(0)) + LIST + LIST)
    with pytest.raises(DataError, match="no samples in it"):
        read_audio(path)


def test_chunks_around_the_sound_are_no_sound(tmp_path, tone):
    path = tmp_path / "x.wav"
    content = wav_bytes(tone)
    path.write_bytes(content[:12] + LIST + content[12:] + LIST)
    np.testing.assert_allclose(read_audio(path), tone, atol=1e-4)


def mp3_in_wav(mp3, tag):
    form = struct.pack("<HHIIHHHHIHHH", tag, 1, RATE_HZ, 8_000, 1, 0, 12, 1, 2, 288, 1, 1393)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(mp3)) + mp3
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks + LIST


def test_mp3_in_wav_is_decoded_as_the_mp3_is(tmp_path, tone):
    mp3 = mp3_bytes(tmp_path / "x.mp3", tone)
    path = tmp_path / "x.wav"
    path.write_bytes(mp3_in_wav(mp3, 0x55))
    waveform = read_audio(path)
    assert waveform.size == audio_info(path).n_samples == tone.size
    np.testing.assert_allclose(waveform, read_audio(tmp_path / "x.mp3"), atol=2e-7)
    path.write_bytes(mp3_in_wav(mp3[: len(mp3) // 2], 0x55))
    with pytest.raises(DataError, match=rf"breaks off after \d+ of {frames_counted(mp3)} frames"):
        read_audio(path)
    path.write_bytes(mp3_in_wav(bytes(900), 0x55))
    with pytest.raises(DataError, match="a wav file of mp3 without a frame"):
        read_audio(path)


@pytest.mark.parametrize("name", ["x.wav", "x.flac"])
@pytest.mark.parametrize("n_samples", [RATE_HZ, RATE_HZ - 1])
def test_joined_files_whose_second_would_be_lost_are_refused(tmp_path, tone, name, n_samples):
    path = tmp_path / name
    soundfile.write(path, tone[:n_samples], RATE_HZ, subtype="PCM_16")
    first = path.read_bytes()
    path.write_bytes(first + first)
    with pytest.raises(DataError, match=f"the second begins at byte {len(first)}; split it"):
        read_audio(path)


def test_a_big_endian_wav_is_read_and_refused_like_any_other(tmp_path, tone):
    path = tmp_path / "x.wav"
    soundfile.write(path, tone, RATE_HZ, subtype="PCM_16", endian="BIG")
    whole = path.read_bytes()
    assert whole[:4] == b"RIFX"
    assert read_audio(path).size == tone.size
    path.write_bytes(whole[:-100])
    with pytest.raises(DataError, match="breaks off 100 bytes"):
        read_audio(path)
