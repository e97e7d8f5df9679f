"""Hidden features: those of the model's layers, in chunks, and the layer that phones choose."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from earbit.audio.clips import Clip, ClipTable, reading_from
from earbit.audio.training_corpus import TrainingCorpus
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError, DataError
from earbit.frames import n_frames_of
from earbit.load import preset_or_model, random_model
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.pretrain import hidden as module
from earbit.pretrain.hidden import (
    best_layer,
    default_layer,
    drawn_clips,
    hidden_source,
    hidden_states,
    layer_named,
)
from earbit.units.discover import UnitConfig

SHAPE = TransformerConfig(n_layers=2, d_model=16, n_heads=2, d_ffn=32, position_kernel=16)
MODEL = ModelConfig(encoder=SHAPE, front_end=FrontEndConfig(n_channels=8, norm="layer"))


@pytest.fixture(scope="module")
def model():
    return random_model(MODEL, seed=0)


def noise(n, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def test_the_source_gives_the_output_of_its_layer_without_dropout(model):
    wave = noise(9_000)
    with torch.inference_mode():
        expected = model.eval()(torch.from_numpy(wave)[None]).states[2][0].numpy()
    model.train()
    source = hidden_source(model, 2, device="cpu")
    found = source.compute(Clip("a", Path("a"), wave.size), lambda: wave)
    assert np.array_equal(found, expected)
    assert (source.name, source.layer, source.rate_hz) == ("hidden", 2, 50)


@pytest.mark.parametrize(
    "name", ["hubert-tiny", "wavlm-tiny", "conformer-tiny", "squeezeformer-tiny"]
)
def test_layers_above_the_wanted_one_are_not_computed(name):
    model, wave = preset_or_model(name, 0).eval(), noise(9_000)
    names = list(model.state_dict())
    with torch.inference_mode():
        states = model(torch.from_numpy(wave)[None]).states
    with torch.no_grad():
        for parameter in model.encoder.layers[2].parameters():
            parameter.fill_(torch.nan)
    found = hidden_states(model, wave, layers=(1, 2))
    assert np.array_equal(found, torch.cat([states[1], states[2]]).numpy())
    assert list(model.state_dict()) == names
    assert np.isnan(hidden_states(model, wave, layers=(3,))).any()


@pytest.mark.parametrize("n_samples", [400, 6_399, 6_400, 6_800, 7_000, 25_680, 25_700])
def test_chunks_have_every_frame_once_and_only_miss_context(model, monkeypatch, n_samples):
    wave = noise(n_samples)
    whole = hidden_states(model.eval(), wave, layers=(1,))
    monkeypatch.setattr(module, "CHUNK_FRAMES", 20)
    parts = hidden_states(model, wave, layers=(1,))
    assert parts.shape == whole.shape == (1, n_frames_of(n_samples), 16)
    with torch.inference_mode():
        for start in range(0, whole.shape[1], 20):
            chunk = torch.from_numpy(wave[320 * start : 320 * start + 6_480])[None]
            alone = model(chunk).states[1].numpy()
            assert np.array_equal(parts[:, start : start + 20], alone)


@pytest.mark.parametrize(
    ("n_layers", "layer"), [(12, 6), (24, 12), (16, 8), (4, 2), (3, 2), (2, 1), (1, 1)]
)
def test_the_default_layer_is_half_of_the_layers(n_layers, layer):
    assert default_layer(n_layers) == layer_named("default", n_layers) == layer


@pytest.mark.parametrize("layer", ["0", "13", "last", "-1"])
def test_layers_that_do_not_exist_are_refused(layer):
    with pytest.raises(ConfigError, match=f"layer {layer}; allowed: 1 to 12, default, auto"):
        layer_named(layer, 12)


def test_auto_takes_the_layer_that_knows_the_phones(model, monkeypatch):
    # Layer 2 is the phone of a frame, layer 1 is noise.
    waves = {name: noise(16_000, seed) for seed, name in enumerate("ab")}
    phones = [("p" if i % 2 else "q", 0.1 * i, 0.1) for i in range(10)]
    index = np.array([i % 2 for i in range(10) for _ in range(5)])[: n_frames_of(16_000)]

    def states(model, waveform, layers):
        first = np.random.default_rng(0).standard_normal((len(index), 2))
        return np.stack([first, np.stack([index, -index], 1)]).astype(np.float32)

    monkeypatch.setattr(module, "hidden_states", states)
    clips = ClipTable(Clip(n, Path(n), w.size) for n, w in waves.items())
    corpus = TrainingCorpus("c", Path(), clips, ClipTable(()), (), "digest")
    settings = {"config": UnitConfig(n_units=2), "device": "cpu", "read": reading_from(waves)}
    assert best_layer(model, corpus, [("a", phones), ("b", phones)], **settings) == 2
    with pytest.raises(DataError, match="no training clip has phone_alignment"):
        best_layer(model, corpus, [("elsewhere", phones)], **settings)


def test_another_model_has_another_digest(model):
    other = random_model(dataclasses.replace(MODEL), seed=1)
    digests = [hidden_source(m, 1, device="cpu").model_digest for m in (model, other)]
    assert digests[0] != digests[1]


def test_clips_for_the_choice_of_a_layer_come_from_all_parts_of_a_corpus():
    clips = ClipTable(Clip(f"{i:03d}", Path("x"), 16_400) for i in range(200))  # 51 frames each
    aligned = [(f"{i:03d}", [("a", 0.0, 1.0)]) for i in range(0, 300, 2)]
    drawn = [int(clip.id) for clip, _ in drawn_clips(clips, aligned, 51 * 20, seed=0)]
    assert len(drawn) == len(set(drawn)) == 20
    assert all(i % 2 == 0 and i < 200 for i in drawn)
    assert min(drawn) < 50
    assert max(drawn) > 150
    assert len(drawn_clips(clips, aligned, 10**6, seed=0)) == 100


def test_features_in_bf16_are_near_those_in_fp32_and_belong_to_another_digest(model):
    wave = noise(8_000)
    sources = [hidden_source(model, 2, device="cpu", precision=p) for p in ("fp32", "bf16")]
    exact, rounded = (s.compute(Clip("a", Path("a"), wave.size), lambda: wave) for s in sources)
    assert sources[1].model_digest == f"{sources[0].model_digest} bf16"
    assert rounded.dtype == np.float32
    distance = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
    assert 1e-5 < distance < 0.05
