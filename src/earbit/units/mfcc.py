"""Kaldi's MFCC with first and second differences: the features of the first iteration's units.

Letters: T frames of 10 ms, W samples of a window, F bins of the spectrum, M mel bands, C
coefficients.
"""

from __future__ import annotations

import functools

import numpy as np

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import DataError
from earbit.frames import MIN_SAMPLES

MFCC_RATE_HZ = 100
WINDOW_SAMPLES = MIN_SAMPLES
"""25 ms: the window of an MFCC frame and of a frame of the front end."""
HOP_SAMPLES = SAMPLE_RATE_HZ // MFCC_RATE_HZ
N_COEFFICIENTS = 13
N_FFT = 512
N_MELS = 23
LOWEST_HZ = 20.0
HIGHEST_HZ = 8000.0
PRE_EMPHASIS = 0.97
LIFTER = 22
FLOOR = float(np.finfo(np.float32).eps)
BLOCK_FRAMES = 256
"""Frames per block, few enough to fit into the cache."""


def mfcc(waveform: np.ndarray) -> np.ndarray:
    """Computes 13 MFCC, their deltas and second deltas: float32 (n_frames, 39) at 100 Hz.

    waveform: float (n_samples,), mono, 16 kHz, about [-1, 1].  Frame t sees the 400 samples from
    160 t on; only whole windows count, so n_frames = 1 + (n_samples - 400) // 160.
    Raises DataError for fewer than 400 samples, another shape or type, NaN or infinity.
    Source: the 39 dimensions of HuBERT's first iteration (arXiv 2106.07447), computed as Kaldi does
    with use_energy=False and dither 0; C0 is the sum of the log mel energies.
    """
    _check(waveform)
    windows_TW = np.lib.stride_tricks.sliding_window_view(waveform, WINDOW_SAMPLES)[::HOP_SAMPLES]
    static_TC = np.concatenate(
        [
            _cepstra(windows_TW[start : start + BLOCK_FRAMES])
            for start in range(0, len(windows_TW), BLOCK_FRAMES)
        ]
    )
    delta_TC = deltas(static_TC)
    return np.concatenate([static_TC, delta_TC, deltas(delta_TC)], axis=1).astype(np.float32)


def deltas(features_TC: np.ndarray) -> np.ndarray:
    """Slope of every column over five frames, with edge frames repeated.

    features_TC: float (n_frames, n_dims), like the result.
    d_t = sum over n = 1, 2 of n (c_{t+n} - c_{t-n}) / 10.
    """
    padded = np.pad(features_TC, ((2, 2), (0, 0)), mode="edge")
    near = padded[3:-1] - padded[1:-3]
    far = padded[4:] - padded[:-4]
    return np.asarray((near + 2 * far) / 10)


def _check(waveform: np.ndarray) -> None:
    if waveform.ndim != 1 or not np.issubdtype(waveform.dtype, np.floating):
        raise DataError(
            f"waveform of shape {waveform.shape} and type {waveform.dtype}; "
            "give mono float samples of shape (n_samples,) in [-1, 1]"
        )
    if waveform.size < WINDOW_SAMPLES:
        raise DataError(
            f"waveform of {waveform.size} samples; one frame needs {WINDOW_SAMPLES} (25 ms), "
            "leave it out or give a longer one"
        )
    if not np.isfinite(waveform).all():
        raise DataError("waveform with NaN or infinite samples; leave it out or decode it again")


def _cepstra(windows_TW: np.ndarray) -> np.ndarray:
    x_TW = windows_TW.astype(np.float64)
    x_TW -= x_TW.mean(axis=1, keepdims=True)
    before_TW = np.concatenate([x_TW[:, :1], x_TW[:, :-1]], axis=1)
    spectrum_TF = np.fft.rfft((x_TW - PRE_EMPHASIS * before_TW) * _povey_window(), n=N_FFT)
    power_TF = spectrum_TF.real**2 + spectrum_TF.imag**2
    log_mel_TM = np.log(np.maximum(power_TF @ _mel_bands(), FLOOR))
    return np.asarray(log_mel_TM @ _cosines())


@functools.cache
def _povey_window() -> np.ndarray:
    phase_W = 2 * np.pi * np.arange(WINDOW_SAMPLES) / (WINDOW_SAMPLES - 1)
    return np.asarray((0.5 - 0.5 * np.cos(phase_W)) ** 0.85)


@functools.cache
def _mel_bands() -> np.ndarray:
    """Triangular filters (F, M), linear in mel; the bin at 8 kHz has weight 0."""
    low, high = _mel(np.array([LOWEST_HZ, HIGHEST_HZ]))
    step = (high - low) / (N_MELS + 1)
    centre_M = low + step * np.arange(1, N_MELS + 1)
    bin_F = _mel(np.arange(N_FFT // 2 + 1) * SAMPLE_RATE_HZ / N_FFT)
    bands_FM = np.maximum(0.0, 1.0 - np.abs(bin_F[:, None] - centre_M) / step)
    bands_FM[-1] = 0.0
    return np.asarray(bands_FM)


def _mel(frequency_hz: np.ndarray) -> np.ndarray:
    return np.asarray(1127.0 * np.log1p(frequency_hz / 700.0))


@functools.cache
def _cosines() -> np.ndarray:
    """First 13 columns of the orthonormal DCT-II, times the lifter: (M, C)."""
    i_C = np.arange(N_COEFFICIENTS)
    dct_MC = np.cos(np.pi / N_MELS * (np.arange(N_MELS)[:, None] + 0.5) * i_C)
    dct_MC *= np.where(i_C == 0, np.sqrt(1 / N_MELS), np.sqrt(2 / N_MELS))
    return np.asarray(dct_MC * (1 + LIFTER / 2 * np.sin(np.pi * i_C / LIFTER)))
