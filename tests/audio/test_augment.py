"""Augmentation of audio: levels, times and repeatability."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from earbit.audio.augment import AugmentConfig, augmented
from earbit.errors import ConfigError
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.train_config import TrainConfig


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tone(hz: float = 1_000, n_samples: int = 16_000) -> Tensor:
    return 0.1 * torch.sin(2 * torch.pi * hz * torch.arange(n_samples) / 16_000)


def loudest_hz(wave_N: Tensor) -> float:
    return float(torch.fft.rfft(wave_N).abs().argmax()) * 16_000 / len(wave_N)


def db(ratio: Tensor) -> float:
    return 20 * math.log10(float(ratio))


def test_by_default_nothing_changes_and_no_random_number_is_drawn() -> None:
    random, wave_N = generator(), tone()
    assert augmented([wave_N], AugmentConfig(), random)[0] is wave_N
    assert torch.equal(random.get_state(), generator().get_state())


def test_equal_generators_give_equal_clips_and_others_do_not() -> None:
    config = AugmentConfig(shift_s=0.1, speed=0.1, gain_db=6, noise=1, mix=1)
    waves = [tone(500, 8_000), tone(1_000, 16_000)]
    first, again, other = (augmented(waves, config, generator(seed)) for seed in (1, 1, 2))
    for a, b, c, before in zip(first, again, other, waves, strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
        assert a.shape == before.shape
        assert a.dtype == torch.float32


def test_background_has_a_level_within_the_range_below_the_clip() -> None:
    waves = [tone(), tone(300)]
    for config in (AugmentConfig(noise=1, snr_db=(5, 10)), AugmentConfig(mix=1, snr_db=(5, 10))):
        for seed in range(20):
            changed = augmented(waves, config, generator(seed))[0]
            added = changed - waves[0]
            assert 5 - 0.01 <= db(waves[0].norm() / added.norm()) <= 10 + 0.01


def test_silence_gets_noise_as_if_it_were_at_minus_60_decibels() -> None:
    config = AugmentConfig(noise=1, snr_db=(0, 0))
    noise_N = augmented([torch.zeros(16_000)], config, generator())[0]
    assert db(noise_N.square().mean().sqrt()) == pytest.approx(-60, abs=0.01)


def test_shares_are_those_of_clips() -> None:
    waves = [tone()] * 400
    changed = augmented(waves, AugmentConfig(noise=0.25), generator())
    n_noisy = sum(not torch.equal(a, b) for a, b in zip(changed, waves, strict=True))
    assert 70 < n_noisy < 130


def test_a_shift_moves_samples_and_fills_with_zeros() -> None:
    wave_N, config = torch.arange(1, 1_001).float(), AugmentConfig(shift_s=0.01)
    shifts = set()
    for seed in range(30):
        moved = augmented([wave_N], config, generator(seed))[0]
        kept = moved[moved > 0]
        shift = int(torch.nonzero(moved)[0]) - int(kept[0]) + 1
        assert torch.equal(kept, wave_N[max(0, -shift) : 1_000 - max(0, shift)])
        assert -160 <= shift <= 160
        shifts.add(shift > 0)
    assert shifts == {True, False}


def test_speed_changes_the_pitch_within_its_range_and_keeps_the_length() -> None:
    pitches = [
        loudest_hz(augmented([tone()], AugmentConfig(speed=0.2), generator(seed))[0])
        for seed in range(20)
    ]
    assert 790 <= min(pitches) < 950
    assert 1_050 < max(pitches) <= 1_210


def test_gain_is_within_its_range_in_decibels() -> None:
    wave_N = tone()
    for seed in range(20):
        changed = augmented([wave_N], AugmentConfig(gain_db=6), generator(seed))[0]
        assert abs(db(changed.norm() / wave_N.norm())) <= 6.01


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"speed": 0.5}, "speed=0.5; allowed: 0 <= speed < 0.5"),
        ({"noise": 1.5}, "noise=1.5; allowed: 0 to 1"),
        ({"snr_db": (9.0, 3.0)}, "snr_db=9.0, 3.0; allowed: two numbers in ascending order"),
    ],
)
def test_values_out_of_range_are_named(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AugmentConfig(**fields)


def test_pretraining_refuses_changes_of_time() -> None:
    optimiser = OptimiserConfig(peak_lr=1e-3, n_steps=1, warmup_steps=0)
    with pytest.raises(ConfigError, match="because units belong to frames"):
        TrainConfig(optimiser=optimiser, augment=AugmentConfig(speed=0.1))
