"""Resampling block by block against soxr on the whole signal."""

import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr

from earbit.audio.decode import read_audio
from earbit.audio.resampling import Resampled, resample


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 7_919])
@pytest.mark.parametrize("block", [1, 333, 100_000])
def test_blocks_give_the_bits_of_the_whole(rate_hz, block):
    n_samples = 300 if block == 1 else 20_011
    signal = np.random.default_rng(0).standard_normal(n_samples).astype(np.float32)
    result = Resampled()
    for start in range(0, n_samples, block):
        result.add(signal[start : start + block], rate_hz)
    waveform = result.whole()
    whole = soxr.resample(signal, rate_hz, 16_000, quality="HQ") if rate_hz != 16_000 else signal
    n_both = min(len(whole), waveform.size)
    np.testing.assert_array_equal(waveform[:n_both], whole[:n_both])
    np.testing.assert_array_equal(waveform, resample(signal, rate_hz))
    assert abs(waveform.size - n_samples * 16_000 / rate_hz) <= 0.5


def test_signals_of_several_rates_are_resampled_each_by_itself():
    rng = np.random.default_rng(0)
    signals = [
        (rate_hz, rng.standard_normal(rate_hz // 3).astype(np.float32))
        for rate_hz in (8_000, 16_000, 44_100, 8_000)
    ]
    result = Resampled()
    for rate_hz, signal in signals:
        result.add(signal[:1_000], rate_hz)
        result.add(signal[1_000:], rate_hz)
    expected = np.concatenate([resample(signal, rate_hz) for rate_hz, signal in signals])
    np.testing.assert_array_equal(result.whole(), expected)


def test_reading_takes_the_memory_of_its_result_and_a_quarter(tmp_path):
    path = tmp_path / "x.wav"
    signal = np.random.default_rng(0).uniform(-1, 1, (30 * 48_000, 2)).astype(np.float32)
    soundfile.write(path, signal, 48_000, subtype="FLOAT")
    read_audio(path)
    tracemalloc.start()
    try:
        waveform = read_audio(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The blocks of the decoder and of the resampler take three to four MB at any length.
    assert peak_bytes < 1.25 * waveform.nbytes + 4e6 < signal.nbytes
