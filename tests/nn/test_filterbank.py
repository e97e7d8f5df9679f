"""The filterbank front end, judged by numpy in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from earbit.config import from_dict, override, to_dict
from earbit.cost.profile import profile_model
from earbit.errors import ConfigError
from earbit.frames import n_frames_of
from earbit.load import load_model
from earbit.model import AudioModel, ModelConfig
from earbit.model_file import save_model
from earbit.nn.filterbank import FLOOR, Filterbank, FilterbankConfig, mel_triangles
from earbit.presets import preset


def front_end(n_mels: int = 80) -> Filterbank:
    return Filterbank(FilterbankConfig(n_mels=n_mels)).eval()


def by_hand(wave: np.ndarray, n_mels: int) -> np.ndarray:
    """Log energies (T, 2 n_mels) from the definition, one window at a time."""
    padded = np.concatenate([np.zeros(80), wave.astype(np.float64), np.zeros(80)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    rows = []
    for t in range((len(wave) - 400) // 320 + 1):
        for start in (320 * t, 320 * t + 160):
            power = np.abs(np.fft.rfft(padded[start : start + 400] * hann, 512)) ** 2
            rows.append(np.log(mel_triangles(n_mels).astype(np.float64) @ power + FLOOR))
    return np.array(rows).reshape(-1, 2 * n_mels)


@pytest.mark.parametrize("n_samples", [400, 719, 720, 880, 16_000])
def test_energies_equal_the_definition_and_frames_are_those_of_hubert(n_samples: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, n_samples).astype(np.float32)
    with torch.no_grad():
        features = front_end(40)(torch.from_numpy(wave)[None])[0].T.numpy()
    assert features.shape == (n_frames_of(n_samples), 80)
    # The batch norm is untrained: a division by sqrt(1 + eps).
    np.testing.assert_allclose(features * np.sqrt(1 + 1e-5), by_hand(wave, 40), atol=2e-4)


def test_a_sine_is_loudest_in_the_triangle_at_its_frequency() -> None:
    tone = torch.sin(2 * torch.pi * 1_000 * torch.arange(16_000) / 16_000)
    with torch.no_grad():
        loudest = int(front_end()(tone[None])[0, :80, 20].argmax())
    centre_hz = 31.25 * float(np.argmax(mel_triangles(80)[loudest]))
    assert abs(centre_hz - 1_000) < 50


def test_triangles_add_up_to_one_between_their_outer_centres_and_none_is_empty() -> None:
    for n_mels in (1, 10, 40, 80):
        triangles = mel_triangles(n_mels)
        assert (triangles.max(1) > 0).all()
        centres = triangles.argmax(1)
        inner = triangles[:, centres[0] + 1 : centres[-1]]
        np.testing.assert_allclose(inner.sum(0), 1, atol=1e-6)


def test_padding_of_a_batch_changes_no_frame_of_a_row() -> None:
    module = front_end().train()
    waves = torch.randn(2, 8_000) * 0.1
    waves[1, 5_000:] = 0
    lengths = torch.tensor([8_000, 5_000])
    module(waves, lengths)
    module.eval()
    with torch.no_grad():
        alone, batch = module(waves[1:, :5_000]), module(waves, lengths)
    n_frames = n_frames_of(5_000)
    torch.testing.assert_close(batch[1:, :, :n_frames], alone)


@pytest.mark.parametrize("padding", [0.0, 5.0, float("nan")])
@pytest.mark.parametrize("length", [400, 4_999, 5_000])
def test_values_in_the_padding_of_a_row_change_none_of_its_bits(
    padding: float, length: int
) -> None:
    module = front_end()
    waves = torch.randn(2, 8_000) * 0.1
    waves[1, length:] = 0
    lengths = torch.tensor([8_000, length])
    n_frames = n_frames_of(length)
    with torch.no_grad():
        zeros = module(waves)  # without lengths, the padding is read as it is
        waves[1, length:] = padding
        found = module(waves, lengths)
    assert torch.equal(found[1, :, :n_frames], zeros[1, :, :n_frames])
    assert torch.equal(found[0], zeros[0])


def test_running_statistics_count_real_frames_alone() -> None:
    module = front_end().train()
    waves = torch.randn(2, 16_000)
    waves[1, 1_000:] = 0
    with torch.no_grad():
        module(waves, torch.tensor([16_000, 1_000]))
    # Digital silence, log(1e-6) = -13.8, would pull the mean down.
    assert float(module.norm.running_mean.min()) > 0


def test_energies_stay_in_float32_under_autocast() -> None:
    wave = torch.randn(1, 16_000) * 0.01
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = front_end()(wave)
    torch.testing.assert_close(half, front_end()(wave))


def test_a_model_is_configured_saved_and_overridden_by_the_type_of_its_front_end() -> None:
    config = override(preset("hubert-tiny"), ["front_end=filterbank"])
    assert config.front_end == FilterbankConfig()
    assert from_dict(ModelConfig, to_dict(config)) == config
    settings = ['front_end={"type": "filterbank", "n_mels": 40}']
    assert override(config, settings).front_end == FilterbankConfig(n_mels=40)
    with pytest.raises(ConfigError, match="1 <= n_mels < 81"):
        FilterbankConfig(n_mels=81)


def test_a_front_end_without_a_type_is_the_convolutional_one() -> None:
    encoder = to_dict(preset("hubert-tiny").encoder)
    config = from_dict(ModelConfig, {"encoder": encoder, "front_end": {"n_channels": 8}})
    assert config.front_end == preset("hubert-tiny").front_end.__class__(n_channels=8)


def test_its_cost_is_counted_without_macs_of_products() -> None:
    config = override(preset("hubert-tiny"), ["front_end=filterbank"])
    profiled = profile_model(config, {}, n_samples=16_000, name="tiny", plan="fp32")
    cost = profiled.groups["front_end"]
    assert not profiled.unknown_ops
    assert cost.macs == 0
    # 98 transforms of 512 real numbers, and 98 x 257 powers times 257 x 80 weights.
    assert cost.other_flops > 98 * (2.5 * 512 * 9 + 2 * 257 * 80)


def test_gradients_reach_the_waveform() -> None:
    wave = torch.zeros(1, 1_000, requires_grad=True)
    front_end()(wave).sum().backward()
    assert wave.grad is not None
    assert bool(wave.grad.isfinite().all())


def test_its_output_is_not_penalised() -> None:
    config = override(preset("hubert-tiny"), ["front_end=filterbank"])
    assert float(AudioModel(config)(torch.randn(1, 1_000)).feature_penalty) == 0


def test_a_saved_model_is_loaded_with_equal_outputs(tmp_path: Path) -> None:
    model = AudioModel(override(preset("hubert-tiny"), ["front_end=filterbank"]))
    wave = torch.randn(1, 2_000)
    model(wave)  # statistics of the batch norm
    save_model(model.eval(), tmp_path / "model.safetensors", {})
    with torch.no_grad():
        ours, loaded = model(wave), load_model(tmp_path)(wave)
    assert torch.equal(loaded.states[-1], ours.states[-1])
