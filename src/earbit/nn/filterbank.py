"""Filterbank front end: log mel energies instead of seven learned convolutions.

It costs a few percent of the arithmetic of a small convolutional front end, and has no weights to
quantize.  The frames are those of HuBERT, so units, masks and labels fit both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.errors import require_count, require_range
from earbit.frames import HOP_SAMPLES, n_frames_of
from earbit.nn.devices import without_autocast
from earbit.nn.lengths import length_mask
from earbit.nn.norms import FrameBatchNorm
from earbit.nn.roles import Role

WINDOW_SAMPLES = 400
"""25 ms."""
N_STACKED = 2
"""Windows of one frame, side by side."""
HOP_OF_WINDOWS = HOP_SAMPLES // N_STACKED
"""10 ms."""
PAD_SAMPLES = HOP_OF_WINDOWS // 2
"""Zeros before and after a clip: the windows of a frame are centred on HuBERT's 400 samples."""
FFT_SAMPLES = 512
FLOOR = 1e-6
"""Added to the energies before the logarithm: about the noise of rounding to 16 bits."""
LOWEST_HZ, HIGHEST_HZ, NYQUIST_HZ = 20.0, 7_600.0, 8_000.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterbankConfig:
    """Settings of log mel energies of windows of 25 ms every 10 ms."""

    n_mels: int = 80

    def __post_init__(self) -> None:
        require_count(n_mels=self.n_mels)
        # More would leave triangles at low frequencies without a bin of the spectrum.
        require_range(1, 81, n_mels=self.n_mels)

    @property
    def n_channels(self) -> int:
        """Width of a frame: the energies of two windows."""
        return N_STACKED * self.n_mels


class Filterbank(torch.nn.Module):
    """Waveform (B, N) with lengths (B,) in samples -> normalised log mel energies (B, C, T)."""

    role: Role = "front_end"
    has_fixed_products = True
    """The product with the mels has constants and is no leaf; the profiler counts it."""

    def __init__(self, config: FilterbankConfig) -> None:
        super().__init__()
        self.n_mels = config.n_mels
        self.norm = FrameBatchNorm(config.n_channels)

    def forward(self, wave_BN: Tensor, lengths: Tensor | None = None) -> Tensor:
        # The last window of a row reaches into its padding.
        if lengths is not None:
            wave_BN = wave_BN.masked_fill(~length_mask(lengths, wave_BN.shape[1]), 0)
        # Half precision cannot hold the energies of a clip.
        with without_autocast(wave_BN.device):
            log_BTC = self._log_energies(wave_BN.float())
        frame_lengths = None if lengths is None else n_frames_of(lengths)
        normed: Tensor = self.norm(log_BTC.transpose(1, 2), frame_lengths)
        return normed

    def _log_energies(self, wave_BN: Tensor) -> Tensor:
        padded_BN = F.pad(wave_BN, (PAD_SAMPLES, PAD_SAMPLES))
        windows = padded_BN.unfold(1, WINDOW_SAMPLES, HOP_OF_WINDOWS)
        # The last window of an odd number has no partner.
        windows = windows[:, : windows.shape[1] // N_STACKED * N_STACKED]
        # No buffers: both follow from the configuration, and a model is loaded on the meta device.
        window = torch.from_numpy(hann_window()).to(wave_BN.device)
        mels = torch.from_numpy(mel_triangles(self.n_mels)).to(wave_BN.device)
        spectrum = torch.view_as_real(torch.fft.rfft(windows * window, FFT_SAMPLES))
        energies = spectrum.square().sum(-1) @ mels.T
        return torch.log(energies + FLOOR).view(len(wave_BN), -1, self.norm.num_features)


@cache
def hann_window() -> npt.NDArray[np.float32]:
    """Weights (400,) of the samples of a window, a period of a raised cosine."""
    phases = 2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES
    return (0.5 - 0.5 * np.cos(phases)).astype(np.float32)


@cache
def mel_triangles(n_mels: int) -> npt.NDArray[np.float32]:
    """Weights (n_mels, 257) of triangles of height 1, evenly spaced in mel.

    mel(f) = 2595 log10(1 + f / 700).
    """
    lowest, highest = (2_595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, HIGHEST_HZ))
    corners_hz = 700 * (10 ** (np.linspace(lowest, highest, n_mels + 2) / 2_595) - 1)
    bins_hz = np.linspace(0, NYQUIST_HZ, FFT_SAMPLES // 2 + 1)
    left, centre, right = corners_hz[:-2, None], corners_hz[1:-1, None], corners_hz[2:, None]
    rising, falling = (bins_hz - left) / (centre - left), (right - bins_hz) / (right - centre)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
