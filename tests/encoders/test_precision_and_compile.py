"""Every encoder under autocast and torch.compile, in full precision and in one bit."""

import pytest
import torch

from earbit.load import random_model
from earbit.presets import preset
from earbit.quantize.student import noise_clips, quantized_copy

PRESETS = ["hubert-tiny", "conformer-tiny", "squeezeformer-tiny", "sparseformer-dn-tiny"]
WAVE = torch.from_numpy(noise_clips(3, n_clips=1, n_samples=8000)[0])[None]


def model_of(name: str, plan: str) -> torch.nn.Module:
    model = random_model(preset(name), 0).eval()
    return model if plan == "fp32" else quantized_copy(model, plan, noise_clips(1)).eval()


def gradients(model: torch.nn.Module, wave: torch.Tensor) -> list[torch.Tensor]:
    model.zero_grad(set_to_none=True)
    model(wave).states[-1].square().mean().backward()
    return [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
@pytest.mark.parametrize("plan", ["fp32", "w1a1"])
@pytest.mark.parametrize("name", PRESETS)
def test_autocast_trains_with_finite_gradients(name, plan, dtype):
    model = model_of(name, plan)
    with torch.autocast("cpu", dtype=dtype):
        found = gradients(model, WAVE)
    assert len(found) > 10
    assert all(bool(torch.isfinite(gradient).all()) for gradient in found)
    assert any(bool(gradient.abs().max() > 0) for gradient in found)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
@pytest.mark.parametrize("name", PRESETS)
def test_autocast_stays_close_to_full_precision(name, dtype):
    model = model_of(name, "fp32")
    with torch.no_grad():
        expected = model(WAVE).states[-1]
        with torch.autocast("cpu", dtype=dtype):
            got = model(WAVE).states[-1].float()
    assert torch.nn.functional.cosine_similarity(got, expected, dim=-1).min() > 0.99


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
@pytest.mark.parametrize("name", PRESETS)
def test_autocast_takes_padding_and_long_audio(name, dtype):
    # More than 65,504 frames of the first convolution: sums and counts that fp16 cannot hold.
    model = model_of(name, "fp32")
    n_samples = 22 * 16_000
    wave = torch.from_numpy(noise_clips(5, n_clips=1, n_samples=n_samples)[0])[None]
    batch, lengths = torch.nn.functional.pad(wave, (0, 16_000)), torch.tensor([n_samples])
    with torch.no_grad():
        expected = model(wave).states[-1]
        with torch.autocast("cpu", dtype=dtype):
            got = model(batch, lengths).states[-1].float()[:, : expected.shape[1]]
    assert torch.nn.functional.cosine_similarity(got, expected, dim=-1).min() > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["fp32", "w1a1"])
@pytest.mark.parametrize("name", PRESETS)
def test_training_on_padded_audio_compiles_to_one_graph(name, plan):
    model = model_of(name, plan).train()
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    found = compiled(torch.cat([WAVE, WAVE]), torch.tensor([8000, 5000])).states[-1]
    found.square().mean().backward()
    assert any(p.grad is not None and bool(p.grad.abs().max() > 0) for p in model.parameters())


@pytest.mark.slow
@pytest.mark.skipif(" " in torch.__file__, reason="PyTorch cannot link in a folder with a space")
@pytest.mark.parametrize("plan", ["fp32", "w1a1"])
@pytest.mark.parametrize("name", PRESETS)
def test_a_compiled_model_gives_the_same_states_and_gradients(name, plan):
    model = model_of(name, plan)
    with torch.no_grad():
        expected = model(WAVE).states[-1]
    expected_gradients = gradients(model, WAVE)
    torch.compiler.reset()
    compiled = torch.compile(model)
    with torch.no_grad():
        got = compiled(WAVE).states[-1]
    # A bit flips where sums in another order fall on the other side of its threshold.
    assert torch.nn.functional.cosine_similarity(got, expected, dim=-1).min() > 0.999
    if plan == "fp32":
        assert torch.allclose(got, expected, atol=1e-4)
        for ours, theirs in zip(gradients(compiled, WAVE), expected_gradients, strict=True):
            assert torch.allclose(ours, theirs, atol=1e-3, rtol=1e-2)
