"""The model against its independent judge, transformers, and against itself without padding."""

import functools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earbit.errors import ConfigError, DataError
from earbit.frames import layer_lengths, n_frames_of
from earbit.load import random_model
from earbit.model import AudioModel, ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.presets import preset
from earbit.quantize.student import noise_clips, quantized_copy
from hugging_face import hugging_face_twin, their_name


def count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_hubert_base_has_exactly_the_published_parameters():
    with torch.device("meta"):
        assert count(AudioModel(preset("hubert-base"))) == 94_371_712


@pytest.mark.parametrize(("name", "millions"), [("hubert-large", 315.4), ("hubert-xlarge", 962.5)])
def test_large_models_have_the_size_of_those_of_transformers(name, millions):
    config = preset(name)
    with torch.device("meta"):
        n_parameters = count(AudioModel(config))
        assert n_parameters == count(hugging_face_twin(config))
    assert round(n_parameters / 1e6, 1) == millions


def test_a_unit_head_of_base_adds_projection_and_embeddings():
    config = preset("hubert-base")
    with torch.device("meta"):
        model = AudioModel(ModelConfig(encoder=config.encoder, n_units=504))
    assert count(model) == 94_697_600


TINY = preset("hubert-tiny")
LARGE_IN_SMALL = ModelConfig(
    encoder=replace(TINY.encoder, norm="pre"), front_end=FrontEndConfig(n_channels=64, norm="layer")
)
NORMALIZED = replace(LARGE_IN_SMALL, normalize_waveform=True)
WITH_BIASES = replace(LARGE_IN_SMALL, front_end=replace(LARGE_IN_SMALL.front_end, conv_bias=True))
POST_NORM_LAYER_FRONT_END = replace(LARGE_IN_SMALL, encoder=TINY.encoder)


def with_twin(config: ModelConfig, seed: int, spread: float = 0.0):
    """A model and transformers' with the same weights, moved by `spread` from where they begin."""
    model = random_model(config, seed).eval()
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=random))
    twin = hugging_face_twin(model.config)
    states = {their_name(name): tensor for name, tensor in model.state_dict().items()}
    twin.load_state_dict(states, strict=True)
    return model, twin


def their_states(twin: torch.nn.Module, wave: torch.Tensor, **masks) -> tuple[torch.Tensor, ...]:
    output = twin(wave, output_hidden_states=True, **masks)
    # Their list ends before the last norm of a pre-norm model, the output itself after it.
    return (*output.hidden_states[:-1], output.last_hidden_state)


every_hubert = pytest.mark.parametrize(
    "config", [TINY, LARGE_IN_SMALL, WITH_BIASES], ids=["base", "large", "b"]
)


@every_hubert
@pytest.mark.parametrize("n_samples", [400, 16_000, 23_456])
def test_every_hidden_state_equals_that_of_transformers(n_samples, config):
    torch.manual_seed(0)
    model, twin = with_twin(config, seed=0)
    wave = torch.randn(2, n_samples)
    with torch.no_grad():
        theirs = their_states(twin, wave)
        ours = model(wave).states
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@every_hubert
@pytest.mark.parametrize("seed", range(6))
def test_hidden_states_of_any_length_equal_those_of_transformers(seed, config):
    # Norms and biases that begin at one and zero would hide a norm or a bias that is not there.
    # In double precision, where nothing but a difference in meaning is left to see.
    model, twin = (module.double() for module in with_twin(config, seed, spread=0.1))
    torch.manual_seed(seed)
    for n_samples in torch.randint(400, 12_001, (3,)).tolist():
        wave = 0.3 * torch.randn(2, n_samples, dtype=torch.double)
        with torch.no_grad():
            theirs, ours = their_states(twin, wave), model(wave).states
        for a, b in zip(ours, theirs, strict=True):
            assert torch.allclose(a, b, rtol=0, atol=1e-9), n_samples


# Not the norm over time of Base: that of transformers sees the padding.
@pytest.mark.parametrize(
    "config", [LARGE_IN_SMALL, WITH_BIASES, POST_NORM_LAYER_FRONT_END], ids=["large", "b", "post"]
)
@pytest.mark.parametrize("seed", range(3))
def test_hidden_states_of_a_padded_batch_equal_those_of_transformers_under_a_mask(seed, config):
    model, twin = (module.double() for module in with_twin(config, seed, spread=0.1))
    torch.manual_seed(seed)
    lengths = torch.tensor([400, *torch.randint(401, 12_001, (2,)).tolist(), 12_000])
    is_real = torch.arange(12_300) < lengths[:, None]
    wave = 0.3 * torch.randn(4, 12_300, dtype=torch.double) * is_real
    with torch.no_grad():
        theirs = their_states(twin, wave, attention_mask=is_real.long())
        ours = model(wave, lengths)
    assert ours.lengths.tolist() == [n_frames_of(int(n)) for n in lengths]
    for a, b in zip(ours.states, theirs, strict=True):
        for i, n_frames in enumerate(ours.lengths):
            assert torch.allclose(a[i, :n_frames], b[i, :n_frames], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("n_samples", "n_frames"),
    [(399, 0), (400, 1), (16_000, 49), (32_000, 99), (160_000, 499), (250_000, 781)],
)
def test_frames_follow_the_convolutions(n_samples, n_frames):
    assert n_frames_of(n_samples) == n_frames
    assert n_frames_of(torch.tensor([n_samples])).item() == n_frames
    assert len(layer_lengths(n_samples)) == 7


CONFIGS = {
    **{name: preset(name) for name in ("hubert-tiny", "conformer-tiny", "squeezeformer-tiny")},
    "large-in-small": LARGE_IN_SMALL,
    "normalized": NORMALIZED,
    "shortcuts": replace(TINY, front_end=replace(TINY.front_end, norm="batch", shortcut=True)),
    "window": preset("sparseformer-dn-tiny"),
}
MODELS = [
    *((name, plan) for name in CONFIGS for plan in ("fp32", "w1a1")),
    ("hubert-tiny", "w1a2"),
    ("conformer-tiny", "w2a2"),
    ("squeezeformer-tiny", "w8a8"),
    ("window", "w1a1-frontend4"),
    ("window", "w4a4"),
]


@functools.cache
def model_under(name, plan):
    clips = noise_clips(0, n_clips=1, n_samples=8_000)
    return quantized_copy(random_model(CONFIGS[name], seed=3), plan, clips).double().eval()


@pytest.mark.parametrize(("name", "plan"), MODELS)
@settings(max_examples=8, deadline=None)
@given(lengths=st.lists(st.integers(400, 30_000), min_size=2, max_size=4), seed=st.integers(0, 99))
def test_padding_never_changes_a_result(name, plan, lengths, seed):
    # In double precision: the last bits of float32 sums would turn a bit at its threshold.
    model = model_under(name, plan)
    random = torch.Generator().manual_seed(seed)
    clips = [0.1 * torch.randn(n, generator=random, dtype=torch.double) for n in lengths]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    with torch.no_grad():
        together = model(batch, torch.tensor(lengths))
        for i, clip in enumerate(clips):
            alone = model(clip[None]).states
            n_frames = int(together.lengths[i])
            for a, b in zip(together.states, alone, strict=True):
                assert b.shape[1] == n_frames
                assert torch.allclose(a[i, :n_frames], b[0], atol=1e-5)


def test_too_short_audio_is_refused_with_the_numbers():
    model = random_model(preset("hubert-tiny"), seed=0)
    with pytest.raises(DataError, match="399 samples.*400"):
        model(torch.zeros(1, 399))
    with pytest.raises(DataError, match="399 samples in the batch"):
        model(torch.zeros(2, 800), torch.tensor([800, 399]))


def test_masked_frames_hide_the_audio():
    model = random_model(preset("hubert-tiny"), seed=0).eval()
    mask = torch.ones(1, 49, dtype=torch.bool)
    with torch.no_grad():
        a = model(torch.randn(1, 16_000), mask_BT=mask).states[-1]
        b = model(torch.randn(1, 16_000), mask_BT=mask).states[-1]
    assert torch.equal(a, b)


def test_logits_without_a_head_are_refused():
    model = random_model(preset("hubert-tiny"), seed=0)
    with pytest.raises(ConfigError, match="no unit head"):
        model.unit_logits(torch.zeros(1, 96))


def test_logits_are_cosines_over_a_tenth():
    config = ModelConfig(
        encoder=preset("hubert-tiny").encoder, front_end=FrontEndConfig(n_channels=8), n_units=5
    )
    model = random_model(config, seed=0)
    x = torch.randn(3, 96)
    projected = model.head.projection(x)
    cosines = torch.nn.functional.cosine_similarity(
        projected[:, None], model.head.embeddings[None], dim=-1
    )
    assert torch.allclose(model.unit_logits(x), 10 * cosines, atol=1e-5)


@pytest.mark.parametrize(("name", "scale"), [("hubert-base", 0.1), ("hubert-large", 1.0)])
def test_the_gradient_into_the_front_end_has_the_scale_of_its_preset(name, scale):
    # HuBERT's `feature_grad_mult`.
    config = replace(TINY, feature_gradient_scale=preset(name).feature_gradient_scale)
    torch.manual_seed(0)
    wave, weight = torch.randn(1, 4000), torch.randn(1, 12, 96)
    gradients = []
    for scaled in (config, replace(config, feature_gradient_scale=1.0)):
        model = random_model(scaled, seed=0).eval()
        (model(wave).states[-1] * weight).sum().backward()
        gradients.append(model.front_end.convs[3].weight.grad)
    assert gradients[1].abs().max() > 1e-3
    assert torch.allclose(gradients[0], scale * gradients[1], rtol=1e-4, atol=1e-6)


def test_an_unknown_preset_names_its_neighbours():
    with pytest.raises(ConfigError, match="allowed: hubert-base, .*sparseformer-sw-tiny"):
        preset("hubert_bas")


def test_a_length_beyond_the_row_is_refused():
    model = AudioModel(preset("sparseformer-dn-tiny"))
    with pytest.raises(DataError, match="say 8001 samples, rows have 8000"):
        model(torch.zeros(2, 8000), torch.tensor([8000, 8001]))


def test_normalized_audio_keeps_the_width_of_the_batch():
    model = random_model(NORMALIZED, seed=0).eval()
    output = model(torch.randn(2, 16_000), torch.tensor([8000, 6000]))
    assert output.states[-1].shape[1] == n_frames_of(16_000)
    assert output.lengths.tolist() == [24, 18]


@pytest.mark.parametrize(
    ("wave", "lengths", "message"),
    [
        (torch.zeros(8000), None, r"shape \(8000,\).*\(clips, samples\)"),
        (torch.zeros(0, 8000), None, r"shape \(0, 8000\)"),
        (torch.zeros(2, 8000, dtype=torch.int16), None, "torch.int16.*torch.float32, as the model"),
        (torch.zeros(2, 8000, dtype=torch.double), None, "torch.float64"),
        (torch.zeros(2, 8000).numpy(), None, "audio is ndarray.*give tensors"),
        (torch.zeros(2, 8000), [8000, 8000], "lengths list; give tensors"),
        (torch.tensor([[0.0], [float("nan")]]).expand(2, 8000), None, "row 1 is not finite"),
        (torch.zeros(2, 8000), torch.tensor([8000]), r"lengths of shape \(1,\).* 2 clips"),
        (torch.zeros(2, 8000), torch.tensor([8000, 8000, 8000]), r"lengths of shape \(3,\)"),
        (torch.zeros(2, 8000), torch.tensor([[8000, 8000]]), r"lengths of shape \(1, 2\)"),
        (torch.zeros(2, 8000), torch.tensor([8000.0, 5000.5]), "torch.float32"),
        (torch.zeros(2, 8000), torch.tensor([8000, -5]), "-5 samples in the batch, row 1"),
    ],
)
def test_what_is_not_a_batch_is_refused_in_one_line(wave, lengths, message):
    model = AudioModel(preset("sparseformer-dn-tiny")).eval()
    with pytest.raises(DataError, match=message) as caught:
        model(wave, lengths)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["conformer-tiny", "squeezeformer-tiny"])
@pytest.mark.parametrize("lengths", [None, torch.tensor([400])], ids=["alone", "with lengths"])
@pytest.mark.parametrize("n_samples", [400, 720])
def test_one_frame_can_be_trained_on(n_samples, lengths, name):
    model = random_model(preset(name), seed=0).train()
    states = model(torch.randn(1, n_samples), lengths).states
    states[-1].square().mean().backward()
    assert all(bool(torch.isfinite(state[:, :1]).all()) for state in states)
    assert all(bool(torch.isfinite(buffer).all()) for buffer in model.buffers())


def test_a_mask_of_another_length_is_refused():
    model = AudioModel(preset("sparseformer-dn-tiny")).eval()
    with pytest.raises(DataError, match=r"mask of shape \(2, 10\) for \(2, 24\) frames"):
        model(torch.zeros(2, 8000), mask_BT=torch.ones(2, 10, dtype=torch.bool))
