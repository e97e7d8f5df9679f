"""Files of silence, and files whose channels cancel."""

import numpy as np
import pytest
import soundfile
from audio_bytes import RATE_HZ

from earbit.audio.decode import read_audio, read_place
from earbit.audio.place import Place
from earbit.audio.silence import silence_in


def said_of(path, samples, rate_hz=RATE_HZ, **options):
    soundfile.write(path, samples, rate_hz, **options)
    return silence_in(path, read_audio(path))


def test_zeros_are_silence(tmp_path):
    assert said_of(tmp_path / "x.wav", np.zeros(800)) == "silence: all samples are 0"
    assert said_of(tmp_path / "x.flac", np.zeros((4_410, 2)), 44_100) == (
        "silence: all samples are 0"
    )


def test_the_least_step_of_16_bits_is_silence_and_twice_that_is_not(tmp_path):
    dither = np.random.default_rng(0).choice([-1, 0, 1], 800) / 32768
    assert "a peak of 3.1e-05" in said_of(tmp_path / "x.wav", dither)
    assert said_of(tmp_path / "x.wav", 2 * dither) is None


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg"])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_a_channel_that_is_the_other_inverted_is_named(tmp_path, tone, name, rate_hz):
    warning = said_of(tmp_path / name, np.stack([tone, -tone], axis=1), rate_hz)
    assert "its channels cancel each other" in warning


def test_quiet_sound_and_channels_that_differ_are_no_silence(tmp_path, tone):
    assert said_of(tmp_path / "x.wav", 1e-4 * tone, subtype="FLOAT") is None
    assert said_of(tmp_path / "x.wav", np.stack([tone, -0.9 * tone], axis=1)) is None
    assert said_of(tmp_path / "x.wav", np.stack([tone, 0 * tone], axis=1)) is None


@pytest.mark.parametrize("channel", [-1, 0, 1])
def test_a_quiet_part_of_a_loud_file_is_compared_with_itself(tmp_path, tone, channel):
    quiet = np.stack([5e-4 * tone, 5e-4 * tone], axis=1)
    soundfile.write(tmp_path / "x.wav", np.concatenate([quiet, quiet * 1_800]), RATE_HZ)
    place = Place(n_frames=len(quiet), channel=channel)
    waveform = read_place(tmp_path / "x.wav", place)
    assert 0 < np.abs(waveform).max() < 1e-3
    assert silence_in(tmp_path / "x.wav", waveform, place) is None


def test_one_of_two_channels_that_cancel_is_compared_with_itself(tmp_path):
    samples = np.zeros((800, 2))
    samples[:, 1] = 0.5
    soundfile.write(tmp_path / "x.wav", samples, RATE_HZ)
    assert "channels cancel" in silence_in(tmp_path / "x.wav", np.zeros(800))
    first = Place(channel=0)
    reason = silence_in(tmp_path / "x.wav", read_place(tmp_path / "x.wav", first), first)
    assert reason == "silence: all samples are 0"
