"""Frames of MPEG audio, counted by hand, by their encoder, and by the decoder."""

import io

import numpy as np
import pytest
from audio_bytes import RATE_HZ, first_frame_bytes, frames_counted, mp3_bytes, without_info

from earbit.audio.decode import audio_info, read_audio
from earbit.audio.mpeg_frames import mpeg_file, parse_header
from earbit.errors import DataError

SAMPLES = 576
"""Of a frame at 16 kHz."""
DELAY = 576 + 529
"""Of the encoder and of the decoder, which the Info frame leaves out."""
ID3 = b"ID3\x04\0\0" + bytes([0, 0, 1, 3]) + b"\xff\xfb\x90\x00" * 30 + bytes(11)
"""128 + 3 bytes of content, some of them like the beginning of a frame."""
APE = b"APETAGEX" + bytes([208, 7, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80]) + bytes(8)
"""A footer, whose size of 40 counts 8 bytes before it."""


def noise_and_silence(first):
    """3 s of noise and 6 s of silence, or the reverse: where a guess from one half is wrong."""
    noise = 0.3 * np.random.default_rng(0).standard_normal(3 * RATE_HZ).clip(-3, 3)
    silence = np.zeros(6 * RATE_HZ)
    return np.concatenate([noise, silence] if first == "noise" else [silence, noise])


@pytest.mark.parametrize(
    ("header", "kind", "n_bytes", "n_samples"),
    [
        # 144 * 128000 / 44100 = 417.96 and one byte of padding
        (0xFFFB9000, (3, 3, 44_100, False), 417, 1152),
        (0xFFFB92C0, (3, 3, 44_100, True), 418, 1152),
        # 72 * 64000 / 16000, 72 * 8000 / 8000
        (0xFFF38800, (2, 3, 16_000, False), 288, 576),
        (0xFFE31800, (0, 3, 8_000, False), 72, 576),
        # layer 2: 144 * 192000 / 48000; layer 1: 4 * (12 * 384000 / 48000 + 1)
        (0xFFFDA400, (3, 2, 48_000, False), 576, 1152),
        (0xFFFFC600, (3, 1, 48_000, False), 388, 384),
        (0xFFFB0000, (3, 3, 44_100, False), 0, 1152),
    ],
    ids=lambda value: hex(value) if isinstance(value, int) else "",
)
def test_a_header_says_what_the_standard_says(header, kind, n_bytes, n_samples):
    found = parse_header(header)
    assert (found.kind, found.n_bytes, found.n_samples) == (kind, n_bytes, n_samples)


@pytest.mark.parametrize(
    "header", [0, 0xFFF19000, 0xFFEB9000, 0xFFFBF000, 0xFFFB9C00, 0x7FFB9000], ids=hex
)
def test_reserved_values_are_no_header(header):
    # no sync, layer, version, bitrate, rate, one bit of the sync
    assert parse_header(header) is None


@pytest.mark.parametrize("first", ["noise", "silence"])
def test_without_an_info_frame_every_frame_is_decoded(tmp_path, first):
    path = tmp_path / "x.mp3"
    sound = noise_and_silence(first)
    whole = mp3_bytes(path, sound, bitrate_mode="VARIABLE")
    expected = read_audio(path)
    path.write_bytes(without_info(whole))
    waveform = read_audio(path)
    assert waveform.size == audio_info(path).n_samples == SAMPLES * frames_counted(whole)
    assert expected.size == sound.size
    # Two decodings of one mp3 may differ in the last bit.
    np.testing.assert_allclose(waveform[DELAY : DELAY + sound.size], expected, atol=2e-7)


@pytest.mark.parametrize(
    "between",
    [b"", ID3, b"TAG" + bytes(125), bytes(8) + APE, b"\xff\xe0junk\xff" * 100, bytes(1_000_003)],
    ids=["nothing", "ID3v2", "ID3v1", "APE", "like frames", "zeros"],
)
def test_joined_files_are_decoded_to_the_end(tmp_path, tone, between):
    path = tmp_path / "x.mp3"
    first, second = mp3_bytes(path, tone), mp3_bytes(path, 0.5 * tone[: RATE_HZ // 2])
    path.write_bytes(first + between + second)
    waveform = read_audio(path)
    # The Info frame of the second is a frame of silence, as for decoders that know of none.
    n_frames = frames_counted(first) + 1 + frames_counted(second)
    assert waveform.size == audio_info(path).n_samples == n_frames * SAMPLES - DELAY
    np.testing.assert_allclose(waveform[:RATE_HZ], tone, atol=0.03)
    start = (frames_counted(first) + 1) * SAMPLES
    np.testing.assert_allclose(
        waveform[start : start + RATE_HZ // 2][800:-800], 0.5 * tone[800:7200], atol=0.03
    )


def test_joined_files_of_other_rates_and_channels_follow_each_other(tmp_path, tone):
    path = tmp_path / "x.mp3"
    mono, stereo = mp3_bytes(path, tone), mp3_bytes(path, np.stack([tone, tone], axis=1))
    fast = mp3_bytes(path, np.repeat(tone, 3), 48_000)
    path.write_bytes(without_info(mono) + without_info(stereo) + fast)
    n_samples = SAMPLES * (frames_counted(mono) + frames_counted(stereo))
    info = audio_info(path)
    assert (info.rate_hz, info.n_channels) == (RATE_HZ, 1)
    assert read_audio(path).size == info.n_samples == n_samples + tone.size


def test_tags_at_both_ends_are_no_sound(tmp_path, tone):
    path = tmp_path / "x.mp3"
    whole = mp3_bytes(path, tone)
    expected = read_audio(path)
    path.write_bytes(ID3 + ID3 + whole + bytes(8) + APE + b"TAG" + bytes(125))
    np.testing.assert_allclose(read_audio(path), expected, atol=2e-7)


@pytest.mark.parametrize("n_frames", [1, 2, 3])
def test_a_few_frames_are_a_file(tmp_path, tone, n_frames):
    path = tmp_path / "x.mp3"
    frames, end = without_info(mp3_bytes(path, tone)), 0
    for _ in range(n_frames):
        end += first_frame_bytes(frames[end:])
    path.write_bytes(frames[:end])
    assert read_audio(path).size == audio_info(path).n_samples == n_frames * SAMPLES


@pytest.mark.parametrize("n_lost", [1, 50])
def test_a_last_frame_that_is_cut_is_refused(tmp_path, tone, n_lost):
    path = tmp_path / "x.mp3"
    frames = without_info(mp3_bytes(path, tone))
    path.write_bytes(frames[:-n_lost])
    for read in (read_audio, audio_info):
        with pytest.raises(DataError, match=r"breaks off inside a frame after \d+ frames.*ffmpeg"):
            read(path)


def test_fewer_frames_than_the_info_frame_counts_are_refused_with_both_numbers(tmp_path, tone):
    path = tmp_path / "x.mp3"
    whole = mp3_bytes(path, tone)
    n_last = len(whole) - max(whole.rfind(bytes([0xFF, whole[1]]), 0, len(whole) - 4), 0)
    path.write_bytes(whole[:-n_last])
    n_frames = frames_counted(whole)
    with pytest.raises(DataError, match=rf"breaks off after {n_frames - 1} of {n_frames} frames"):
        read_audio(path)


def test_frames_of_free_format_have_the_distance_of_their_headers():
    # Padding of one byte in the second frame.
    frames = [
        b"\xff\xfb" + bytes([third, 0]) + bytes(596 + third // 2) for third in (0, 2, 0, 0, 2)
    ]
    content = bytes(9) + b"".join(frames)
    found = mpeg_file(io.BytesIO(content), 0, len(content))
    assert found.streams[0].n_frames == 5
    assert found.streams[0].ranges == [(9, 9 + 5 * 600 + 2)]


@pytest.mark.parametrize("content", [b"", b"\xff", b"\xff\xfb\x90", bytes(5_000), b"\xff" * 9_000])
def test_bytes_without_a_frame_have_no_stream(content):
    assert mpeg_file(io.BytesIO(content), 0, len(content)).streams == []
