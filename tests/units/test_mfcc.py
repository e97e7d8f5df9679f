"""Judged by kaldi-native-fbank, by a vector worked out by hand, and by least squares."""

import kaldi_native_fbank as knf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earbit.errors import DataError
from earbit.units.mfcc import deltas, mfcc


def noise(n_samples, scale=0.1, seed=0):
    return (scale * np.random.default_rng(seed).standard_normal(n_samples)).astype(np.float32)


def vowel(n_samples, pitch_hz=120):
    """Harmonics that fall off, over a little noise: what a voice looks like to a filter bank."""
    t_s = np.arange(n_samples) / 16_000
    tones = sum(np.sin(2 * np.pi * pitch_hz * k * t_s) / k for k in range(1, 40))
    return (0.1 * tones + noise(n_samples, 1e-3)).astype(np.float32)


def kaldi(waveform):
    options = knf.MfccOptions()
    options.frame_opts.dither = 0
    options.frame_opts.samp_freq = 16_000
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = 23
    options.num_ceps = 13
    options.use_energy = False
    computer = knf.OnlineMfcc(options)
    computer.accept_waveform(16_000, waveform.tolist())
    computer.input_finished()
    return np.stack([computer.get_frame(i) for i in range(computer.num_frames_ready)])


@pytest.mark.parametrize(
    "waveform",
    [
        pytest.param(noise(16_000), id="noise"),
        pytest.param(noise(16_000, 1e-4), id="near-silence"),
        pytest.param(vowel(16_000), id="vowel"),
        pytest.param(vowel(16_000) + 0.3, id="vowel-with-dc"),
        pytest.param(np.zeros(8_000, np.float32), id="silence"),
        pytest.param(np.sign(noise(5_000)), id="clipped"),
        pytest.param(noise(400), id="one-frame"),
        pytest.param(noise(60_000), id="several-blocks"),
    ],
)
def test_the_first_13_columns_are_those_of_kaldi(waveform):
    np.testing.assert_allclose(mfcc(waveform)[:, :13], kaldi(waveform), rtol=0, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(n_samples=st.integers(400, 3_000))
def test_only_whole_windows_are_frames_as_in_kaldi(n_samples):
    waveform = noise(n_samples)
    features = mfcc(waveform)
    assert features.shape == (len(kaldi(waveform)), 39)
    assert features.dtype == np.float32


def test_deltas_of_squares_are_the_vector_worked_out_by_hand():
    squares = np.array([0.0, 1, 4, 9, 16])[:, None]
    np.testing.assert_allclose(deltas(squares)[:, 0], [0.9, 2.2, 4.0, 4.2, 3.1], atol=1e-12)


def test_the_other_columns_are_least_squares_slopes_of_the_13_before_them():
    features = mfcc(vowel(8_000)).astype(np.float64)
    for t in (2, 20, 45):
        for first in (0, 13):
            five = features[t - 2 : t + 3, first : first + 13]
            slopes = np.polyfit(np.arange(5), five, 1)[0]
            np.testing.assert_allclose(features[t, first + 13 : first + 26], slopes, atol=1e-4)


def test_a_frame_far_into_long_audio_is_that_of_its_own_400_samples():
    waveform = noise(60_000)
    features = mfcc(waveform)
    for t in (0, 255, 256, 300, len(features) - 1):
        alone = mfcc(waveform[160 * t : 160 * t + 400])
        np.testing.assert_allclose(features[t, :13], alone[0, :13], atol=1e-4)


@pytest.mark.parametrize(
    ("waveform", "says"),
    [
        (np.zeros(399, np.float32), "399 samples; one frame needs 400"),
        (np.zeros(0, np.float32), "0 samples"),
        (np.zeros((2, 800), np.float32), r"shape \(2, 800\)"),
        (np.zeros(800, np.int16), "int16"),
        (np.full(800, np.nan, np.float32), "NaN"),
        (np.full(800, np.inf, np.float32), "infinite"),
    ],
)
def test_what_cannot_be_a_waveform_is_refused(waveform, says):
    with pytest.raises(DataError, match=says):
        mfcc(waveform)
