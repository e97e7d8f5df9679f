import numpy as np
import pytest
import torch

from earbit.errors import ConfigError, DataError
from earbit.export.verb import export_model
from earbit.load import random_model
from earbit.model_digest import weights_digest
from earbit.model_file import save_model
from earbit.presets import preset
from earbit.runtime.program_file import file_digest
from earbit.shipped import program_path
from earbit.upstream.upstream import (
    fbank_upstream,
    folder_upstream,
    is_finetuned,
    model_upstream,
    program_upstream,
    upstream_named,
)

AUDIO = np.random.default_rng(0).normal(scale=0.1, size=16_000).astype(np.float32)


def no_audio():
    raise AssertionError("audio was read")


@pytest.fixture(scope="module")
def model():
    return random_model(preset("hubert-tiny"), seed=0)


def test_features_of_a_model_are_all_its_states_for_every_frame(model):
    model.train()
    upstream = model_upstream("m", model)
    got = upstream.features("a", lambda: AUDIO)
    assert got.shape == (model.config.encoder.n_layers + 1, 49, model.config.encoder.d_model)
    assert got.dtype == np.float32
    assert np.array_equal(got, upstream.features("b", lambda: AUDIO))
    with torch.no_grad():
        states = model(torch.from_numpy(AUDIO)[None]).states
    assert all(np.allclose(a, b[0].numpy()) for a, b in zip(got, states, strict=True))


def test_the_digest_of_a_model_follows_its_weights(model):
    before = model_upstream("m", model).digest
    assert before == weights_digest(model) == model_upstream("another name", model).digest
    with torch.no_grad():
        model.mask_embedding[0] += 1e-6
        changed = model_upstream("m", model).digest
        model.mask_embedding[0] -= 1e-6
    assert changed != before


def test_fbank_has_eighty_bands_with_two_differences_every_ten_milliseconds_standardised():
    upstream = fbank_upstream()
    got = upstream.features("a", lambda: AUDIO)
    assert upstream.hop_samples == 160
    assert got.shape[0] == 1
    assert abs(got.shape[1] - 100) <= 2
    assert got.shape[2] == 240
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[0].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(got[0].std(axis=0), 1, atol=1e-3)


def test_in_fbank_a_tone_stands_out_in_the_band_of_its_frequency():
    """80 bands of equal width in mel from 20 to 8,000 Hz: 1 kHz is about the 28th."""
    t_s = np.arange(16_000) / 16_000
    wave = 1e-3 * AUDIO
    wave[8_000:] += (0.1 * np.sin(2 * np.pi * 1_000 * t_s[8_000:])).astype(np.float32)
    static_TD = fbank_upstream().features("a", lambda: wave)[0, :, :80]
    n = len(static_TD)
    raw = static_TD[: n // 2 - 2].mean(0), static_TD[n // 2 + 3 :].mean(0)
    mel = [1_127 * np.log1p(hz / 700) for hz in (20, 1_000, 8_000)]
    band = 81 * (mel[1] - mel[0]) / (mel[2] - mel[0]) - 1
    assert abs(int(np.argmax(raw[1] - raw[0])) - band) <= 3


@pytest.mark.parametrize("wave", [np.zeros(16_000), AUDIO[:400]], ids=["silence", "short"])
def test_fbank_of_silence_and_of_a_short_clip_is_finite(wave):
    got = fbank_upstream().features("a", lambda: np.asarray(wave, np.float32))
    assert got.shape[1] >= 1
    assert np.isfinite(got).all()


def test_a_folder_holds_one_array_per_clip_and_no_audio_is_read(tmp_path):
    two = np.arange(6, dtype=np.float64).reshape(2, 3)
    np.save(tmp_path / "a.npy", two)
    (tmp_path / "sub").mkdir()
    np.save(tmp_path / "sub" / "b.npy", np.stack([two, two + 1]).astype(np.float16))
    upstream = upstream_named(f"features:{tmp_path}", seed=0, threads=1)
    assert np.array_equal(upstream.features("a", no_audio), two[None])
    b = upstream.features("sub/b", no_audio)
    assert b.dtype == np.float32
    assert np.array_equal(b, np.stack([two, two + 1]))


def test_a_missing_folder_and_a_missing_clip_are_named(tmp_path):
    with pytest.raises(DataError, match="nothing: no such folder; features:DIR holds a file ID"):
        upstream_named(f"features:{tmp_path / 'nothing'}", seed=0, threads=1)
    with pytest.raises(DataError, match=r"ghost.npy: no features for clip 'ghost'"):
        folder_upstream(tmp_path).features("ghost", no_audio)


def text_file(path):
    path.write_text("not an array")


def empty_file(path):
    path.touch()


def texts(path):
    np.save(path, np.array([["a", "b"]]))


def objects(path):
    np.save(path, np.array([{}, 1], dtype=object), allow_pickle=True)


def several(path):
    with path.open("wb") as file:
        np.savez(file, a=np.ones(3), b=np.ones(3))


def broken_archive(path):
    path.write_bytes(b"PK\x03\x04 and no more")


@pytest.mark.parametrize("write", [text_file, empty_file, texts, objects, several, broken_archive])
def test_a_file_that_is_no_array_of_numbers_is_a_fault_of_the_data(tmp_path, write):
    write(tmp_path / "a.npy")
    with pytest.raises(DataError, match="a.npy"):
        folder_upstream(tmp_path).features("a", no_audio)


def test_the_digest_of_a_folder_follows_its_files(tmp_path):
    digests = set()
    for name, array in (
        ("a", np.ones(3)),
        ("b", np.ones(3)),
        ("b", np.ones(4)),
        ("b", np.zeros(4)),
    ):
        np.save(tmp_path / f"{name}.npy", array)
        digests.add(folder_upstream(tmp_path).digest)
    assert len(digests) == 4


def test_an_unknown_name_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="hubert-tiny"):
        upstream_named("hubert-tini", seed=0, threads=1)


def test_a_preset_has_the_weights_of_its_seed(model):
    digests = [upstream_named("hubert-tiny", seed=seed, threads=1).digest for seed in (0, 1)]
    assert digests[0] == weights_digest(model) != digests[1]


def test_a_program_gives_the_states_of_its_model(model, tmp_path):
    program = tmp_path / "p.safetensors"
    export_model("hubert-tiny", program)
    upstream = upstream_named(str(program), seed=0, threads=1)
    expected = model_upstream("m", model).features("a", lambda: AUDIO)
    got = upstream.features("a", lambda: AUDIO)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 1e-3 * np.abs(expected).max()
    assert upstream.digest == program_upstream(program, 1).digest != weights_digest(model)


def test_products_of_a_model_in_bf16_give_other_features_of_the_same_model(model):
    exact, rounded = (model_upstream("m", model, precision=p) for p in ("fp32", "bf16"))
    assert rounded.digest != exact.digest
    assert rounded.model_digest == exact.model_digest == weights_digest(model)
    a, b = (upstream.features("a", lambda: AUDIO) for upstream in (exact, rounded))
    assert b.dtype == np.float32
    assert 1e-5 < np.linalg.norm(a - b) / np.linalg.norm(a) < 0.05


def test_only_a_model_in_pytorch_has_another_precision():
    with pytest.raises(ConfigError, match="fbank with --precision bf16"):
        upstream_named("fbank", seed=0, threads=1, precision="bf16")


def test_a_program_that_comes_with_earbit_is_an_upstream_by_its_name():
    upstream = upstream_named("encoder-w1a1", seed=0, threads=1)
    assert upstream.digest == file_digest(program_path("encoder-w1a1"))
    assert upstream.features("a", lambda: AUDIO).shape == (5, 49, 128)


def test_a_model_of_a_fine_tuning_is_known(tmp_path):
    model = random_model(preset("hubert-fbank-tiny"), 0)
    for stage in ("finetune", "pretrain"):
        (tmp_path / stage).mkdir()
        save_model(model, tmp_path / stage / "model.safetensors", {"stage": stage})
    assert is_finetuned(str(tmp_path / "finetune"))
    others = ("fbank", "hubert-tiny", "features:x", "random:hubert-tiny", "keywords-w1a1")
    assert not any(map(is_finetuned, (str(tmp_path / "pretrain"), *others)))
