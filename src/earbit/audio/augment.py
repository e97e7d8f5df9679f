"""Augmentation of training audio: shift, speed, gain, noise and other clips in the background.

The random numbers come from the generator that is given, so a resumed run repeats them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import ConfigError, require_range

QUIET_RMS = 1e-3
"""-60 dBFS.  Background is added to quieter clips as if they had this level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentConfig:
    """Random changes of every training clip; nothing changes by default."""

    shift_s: float = 0.0
    """Maximum shift in time.  Zeros fill the gap, and the length stays."""
    speed: float = 0.0
    """Maximum change of speed and pitch, as a share: 0.1 for 0.9 to 1.1 times."""
    gain_db: float = 0.0
    """Maximum change of the level."""
    noise: float = 0.0
    """Share of clips with noise, whose power falls with the frequency to the power of 0 to 2."""
    mix: float = 0.0
    """Share of clips with another clip of the batch in the background."""
    snr_db: tuple[float, float] = (0.0, 20.0)
    """Range of the level of a clip above its noise and above the other clip."""

    def __post_init__(self) -> None:
        require_range(0, inf, shift_s=self.shift_s, gain_db=self.gain_db)
        require_range(0, 0.5, speed=self.speed)
        for name in ("noise", "mix"):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise ConfigError(f"{name}={share}; allowed: 0 to 1")
        low, high = self.snr_db
        if not -inf < low <= high < inf:
            raise ConfigError(f"snr_db={low}, {high}; allowed: two numbers in ascending order")

    @property
    def moves(self) -> bool:
        """Whether frames get another time, so labels of frames would not fit."""
        return self.shift_s > 0 or self.speed > 0


def augmented(
    waves: Sequence[Tensor], config: AugmentConfig, generator: torch.Generator
) -> list[Tensor]:
    """Clips of a batch, float32 (N,) at 16 kHz each, with random changes; lengths stay."""
    if config == AugmentConfig():
        return list(waves)
    moved = [_moved(wave_N, config, generator) for wave_N in waves]
    return [
        _gained(_with_background(wave_N, moved, config, generator), config, generator)
        for wave_N in moved
    ]


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _moved(wave_N: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Speed, then shift."""
    n_samples = len(wave_N)
    if config.speed:
        n_new = max(1, round(n_samples / _uniform(1 - config.speed, 1 + config.speed, generator)))
        wave_N = F.interpolate(wave_N[None, None], n_new, mode="linear")[0, 0]
        # A slower clip loses both ends, a faster one gets silence at both.
        missing = n_samples - n_new
        wave_N = F.pad(wave_N, (missing // 2, missing - missing // 2))
    if config.shift_s:
        most = min(round(config.shift_s * SAMPLE_RATE_HZ), n_samples)
        shift = round(_uniform(-most, most, generator))
        wave_N = F.pad(wave_N, (shift, -shift))
    return wave_N


def _with_background(
    wave_N: Tensor, others: Sequence[Tensor], config: AugmentConfig, generator: torch.Generator
) -> Tensor:
    level = max(_rms(wave_N), QUIET_RMS)
    sum_N = wave_N
    if _uniform(0, 1, generator) < config.noise:
        noise_N = _noise(len(wave_N), generator)
        sum_N = sum_N + _at_level(noise_N, level, config, generator)
    if _uniform(0, 1, generator) < config.mix:
        other_N = others[int(torch.randint(len(others), (), generator=generator))]
        start = int(torch.randint(len(other_N), (), generator=generator))
        # The other clip repeats from a random sample on.
        index = (start + torch.arange(len(wave_N))) % len(other_N)
        sum_N = sum_N + _at_level(other_N[index], level, config, generator)
    return sum_N


def _at_level(
    background_N: Tensor, level: float, config: AugmentConfig, generator: torch.Generator
) -> Tensor:
    snr_db = _uniform(*config.snr_db, generator)
    rms = _rms(background_N)
    return background_N * (level * 10 ** (-snr_db / 20) / rms) if rms > 0 else background_N


def _noise(n_samples: int, generator: torch.Generator) -> Tensor:
    """Noise of a random colour from white to brown, of any level."""
    spectrum = torch.fft.rfft(torch.randn(n_samples, generator=generator))
    decay = torch.arange(1, len(spectrum) + 1) ** -(_uniform(0, 2, generator) / 2)
    noise_N: Tensor = torch.fft.irfft(spectrum * decay, n_samples)
    return noise_N


def _gained(wave_N: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    if not config.gain_db:
        return wave_N
    gain_db = _uniform(-config.gain_db, config.gain_db, generator)
    return torch.mul(wave_N, 10 ** (gain_db / 20))


def _rms(wave_N: Tensor) -> float:
    return float(wave_N.square().mean().sqrt())
