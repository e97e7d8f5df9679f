from dataclasses import replace

import numpy as np
import pytest
import torch

from earbit.errors import DataError, FormatError
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.presets import preset
from earbit.superb import features as module
from earbit.superb.features import cached_features, model_features

ORIGIN = {"model_digest": "m", "corpus_digest": "c"}


def waveforms(n=5):
    rng = np.random.default_rng(0)
    return {f"clip/{i}": rng.normal(size=800 + 400 * i).astype(np.float32) for i in range(n)}


class Counted:
    """Two states of samples taken 320 at a time, and how often they were asked for."""

    def __init__(self):
        self.n_calls = 0

    def __call__(self, waveform):
        self.n_calls += 1
        frames = waveform[: waveform.size // 320 * 320].reshape(-1, 320)[:, :4]
        return np.stack([frames, 2 * frames])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return AudioModel(preset("hubert-tiny"))


def test_features_of_a_model_are_all_its_states_for_every_frame(model):
    model.train()
    features = model_features(model)
    wave = waveforms(1)["clip/0"]
    got = features(np.tile(wave, 20))
    assert got.shape == (model.config.encoder.n_layers + 1, 49, model.config.encoder.d_model)
    assert got.dtype == np.float32
    assert np.array_equal(got, features(np.tile(wave, 20)))
    with torch.no_grad():
        states = model(torch.from_numpy(np.tile(wave, 20))[None]).states
    assert all(np.allclose(a, b[0].numpy()) for a, b in zip(got, states, strict=True))


def test_the_digest_of_a_model_follows_its_weights(model):
    before = weights_digest(model)
    assert before == weights_digest(model)
    with torch.no_grad():
        model.mask_embedding[0] += 1e-6
        changed = weights_digest(model)
        model.mask_embedding[0] -= 1e-6
    assert changed != before


def test_every_clip_is_computed_once(tmp_path):
    counted = Counted()
    ids = [*waveforms(), "clip/0"]
    frozen = cached_features(counted, waveforms(), ids, cache_dir=tmp_path, **ORIGIN)
    assert counted.n_calls == 5
    assert (frozen.n_states, frozen.width) == (2, 4)
    assert np.array_equal(frozen.clips["clip/3"], counted(waveforms()["clip/3"]))


def test_on_disk_a_second_call_computes_only_what_is_new(tmp_path):
    counted, waves = Counted(), waveforms()
    ids = list(waves)
    cached_features(counted, waves, ids[:3], cache_dir=tmp_path, **ORIGIN)
    assert counted.n_calls == 3
    frozen = cached_features(counted, waves, ids, cache_dir=tmp_path, **ORIGIN)
    assert counted.n_calls == 5
    again = cached_features(counted, waves, ids, cache_dir=tmp_path, **ORIGIN)
    assert counted.n_calls == 5
    assert (again.n_states, again.width) == (frozen.n_states, frozen.width) == (2, 4)
    for i in ids:
        assert np.array_equal(again.clips[i], Counted()(waves[i]))


def test_a_killed_extraction_loses_only_the_shard_that_was_not_written(tmp_path, monkeypatch):
    waves = waveforms()
    monkeypatch.setattr(module, "SHARD_BYTES", 1)
    counted = Counted()

    def killed(waveform):
        if counted.n_calls == 3:
            raise KeyboardInterrupt
        return counted(waveform)

    with pytest.raises(KeyboardInterrupt):
        cached_features(killed, waves, waves, cache_dir=tmp_path, **ORIGIN)
    cached_features(counted, waves, waves, cache_dir=tmp_path, **ORIGIN)
    assert counted.n_calls == 5
    assert not list(tmp_path.glob("*/.*"))


@pytest.mark.parametrize("changed", ["model_digest", "corpus_digest"])
def test_another_model_or_corpus_never_sees_a_stale_cache(tmp_path, changed):
    counted, waves = Counted(), waveforms()
    cached_features(counted, waves, waves, cache_dir=tmp_path, **ORIGIN)
    cached_features(counted, waves, waves, cache_dir=tmp_path, **{**ORIGIN, changed: "other"})
    assert counted.n_calls == 10


def test_a_damaged_or_foreign_shard_is_an_error(tmp_path):
    waves = waveforms()
    cached_features(Counted(), waves, waves, cache_dir=tmp_path, **ORIGIN)
    (shard_m,) = tmp_path.glob("*/*.safetensors")
    cached_features(Counted(), waves, waves, cache_dir=tmp_path, **{**ORIGIN, "model_digest": "n"})
    (shard_n,) = set(tmp_path.glob("*/*.safetensors")) - {shard_m}
    shard_m.write_bytes(shard_n.read_bytes())
    with pytest.raises(FormatError, match="of other features"):
        cached_features(Counted(), waves, waves, cache_dir=tmp_path, **ORIGIN)
    shard_m.write_bytes(shard_m.read_bytes()[:50])
    with pytest.raises(FormatError, match="damaged feature cache"):
        cached_features(Counted(), waves, waves, cache_dir=tmp_path, **ORIGIN)


def test_clips_without_audio_and_no_clips_at_all_are_errors(tmp_path):
    waves, origin = waveforms(), {**ORIGIN, "cache_dir": tmp_path}
    with pytest.raises(DataError, match="1 of 6 clips have no audio, first 'ghost'"):
        cached_features(Counted(), waves, [*waves, "ghost"], **origin)
    with pytest.raises(DataError, match="splits are empty"):
        cached_features(Counted(), waves, [], **origin)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: np.where(x > 0, np.nan, x), "not finite"),
        (lambda x: x[0], "all hidden states"),
        (lambda x: x[:, :0], "all hidden states"),
        (lambda x: x if x.shape[1] < 3 else x[:1], "expected .2 states"),
    ],
)
def test_features_that_cannot_be_used_are_errors(tmp_path, spoil, message):
    waves, origin = waveforms(), {**ORIGIN, "cache_dir": tmp_path}
    with pytest.raises(DataError, match=message):
        cached_features(lambda w: spoil(Counted()(w)), waves, waves, **origin)


def test_a_frozen_set_of_features_cannot_be_changed_by_accident(toy):
    features = toy.constant(toy.splits())
    with pytest.raises(AttributeError):
        features.width = 3
    assert replace(features, width=3).width == 3
