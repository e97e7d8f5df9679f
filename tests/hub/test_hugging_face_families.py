"""Random HuBERT, wav2vec 2.0 and WavLM models of any shape, with transformers as the judge."""

import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earbit.hub.verb import import_model
from earbit.load import load_model

transformers = pytest.importorskip("transformers")

FAMILIES = {"hubert": "Hubert", "wav2vec2": "Wav2Vec2", "wavlm": "WavLM"}
SHAPE = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "conv_dim": (32,) * 7,
    "num_conv_pos_embeddings": 16,
}


def random_twin(family, **settings):
    """A model of transformers in which no two tensors are equal, in evaluation mode."""
    torch.manual_seed(0)
    name = FAMILIES[family]
    config = getattr(transformers, f"{name}Config")(**{**SHAPE, **settings})
    model = getattr(transformers, f"{name}Model")(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.add_(torch.rand(buffer.shape))
    return model.eval()


def assert_equal_states(theirs, ours, n_samples=4000):
    wave = torch.randn(1, n_samples, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        output = theirs(wave, output_hidden_states=True)
        states = ours(wave).states
    # transformers 5 lists the last state of a pre-norm encoder without the norm behind it, versions
    # before 5 with it; `last_hidden_state` always has it.
    expected = [*output.hidden_states[:-1], output.last_hidden_state]
    assert len(states) == len(expected)
    for state, other in zip(states, expected, strict=True):
        assert torch.allclose(state, other, atol=1e-5 * max(1, float(other.abs().max())))


CONFIGURATIONS = st.fixed_dictionaries(
    {
        "hidden_size": st.sampled_from([48, 96]),
        "num_hidden_layers": st.integers(1, 3),
        "num_attention_heads": st.sampled_from([1, 3, 4]),
        "intermediate_size": st.integers(1, 90),
        "conv_dim": st.sampled_from([(8,) * 7, (48,) * 7]),
        "num_conv_pos_embeddings": st.integers(1, 20),
        "do_stable_layer_norm": st.booleans(),
        "feat_extract_norm": st.sampled_from(["group", "layer"]),
        "conv_bias": st.booleans(),
    }
)
OF_FAMILY = st.one_of(
    st.tuples(
        st.just("hubert"),
        st.fixed_dictionaries(
            {"conv_pos_batch_norm": st.booleans(), "feat_proj_layer_norm": st.booleans()}
        ),
    ),
    st.tuples(st.just("wav2vec2"), st.just({})),
    st.tuples(
        st.just("wavlm"),
        st.sampled_from([{}, {"num_buckets": 8, "max_bucket_distance": 5}, {"num_buckets": 16}]),
    ),
)


def check_configuration(configuration, of_family):
    family, more = of_family
    theirs = random_twin(family, **configuration, **more)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(f"{folder}/theirs")
        import_model(Path(folder, "theirs"), Path(folder, "ours"))
        assert_equal_states(theirs, load_model(f"{folder}/ours"))


@pytest.mark.parametrize("n", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_any_configuration_has_the_states_of_transformers(n):
    check = given(configuration=CONFIGURATIONS, of_family=OF_FAMILY)(check_configuration)
    settings(max_examples=n, deadline=None, derandomize=True)(check)()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_long_clip_uses_all_buckets(family, tmp_path):
    more = {"num_buckets": 12, "max_bucket_distance": 30} if family == "wavlm" else {}
    theirs = random_twin(family, **more)
    theirs.save_pretrained(tmp_path / "theirs")
    import_model(tmp_path / "theirs", tmp_path / "ours")
    assert_equal_states(theirs, load_model(tmp_path / "ours"), n_samples=24_000)


def test_a_student_without_feature_norm_is_imported(tmp_path):
    # The settings of DistilHuBERT: two layers of HuBERT Base.
    theirs = random_twin("hubert", feat_proj_layer_norm=False, num_hidden_layers=2)
    theirs.save_pretrained(tmp_path / "theirs")
    assert import_model(tmp_path / "theirs", tmp_path / "ours")["n_layers"] == 2
    ours = load_model(tmp_path / "ours")
    assert_equal_states(theirs, ours)
    assert "feature_norm.weight" not in ours.state_dict()


def test_batch_equals_single_for_wavlm(tmp_path):
    random_twin("wavlm").save_pretrained(tmp_path / "theirs")
    import_model(tmp_path / "theirs", tmp_path / "ours")
    model = load_model(tmp_path / "ours")
    wave = torch.randn(2, 6000, generator=torch.Generator().manual_seed(1))
    wave[1, 3000:] = 0
    with torch.no_grad():
        together = model(wave, torch.tensor([6000, 3000])).states[-1][1]
        alone = model(wave[1:, :3000]).states[-1][0]
    assert torch.allclose(together[: len(alone)], alone, atol=1e-5)
