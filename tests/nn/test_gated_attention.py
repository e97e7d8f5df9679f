"""The gated position bias of WavLM, with transformers as the judge."""

import pytest
import torch

from earbit.errors import ConfigError
from earbit.nn.gated_attention import GatedAttention, PositionBias


def pair(n_heads=4, d_model=48, n_buckets=16, max_distance=20):
    """An attention of transformers and ours with the same random weights."""
    modeling = pytest.importorskip("transformers.models.wavlm.modeling_wavlm")
    torch.manual_seed(0)
    theirs = modeling.WavLMAttention(d_model, n_heads, 0.0, n_buckets, max_distance).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    bias = PositionBias(n_heads, n_buckets, max_distance)
    ours = GatedAttention(d_model, n_heads, 0.0, bias).eval()
    state = theirs.state_dict()
    bias.load_state_dict({"weight": state.pop("rel_attn_embed.weight")})
    state["gate.constant"] = state.pop("gru_rel_pos_const").flatten()
    for name in ("weight", "bias"):
        state[f"gate.{name}"] = state.pop(f"gru_rel_pos_linear.{name}")
    ours.load_state_dict(state)
    return theirs, ours


@pytest.mark.parametrize("n_frames", [1, 7, 60])
def test_attention_with_a_gated_bias_equals_that_of_transformers(n_frames):
    theirs, ours = pair()
    x_BTD = torch.randn(2, n_frames, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(ours(x_BTD), theirs(x_BTD)[0], atol=1e-5)


def test_the_products_as_leaves_give_the_result_of_the_fused_kernel():
    _, ours = pair()
    x_BTD = torch.randn(2, 9, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        fused = ours(x_BTD)
        ours.scores.register_forward_hook(lambda *_: None)
        assert torch.allclose(ours(x_BTD), fused, atol=1e-4)


def test_padding_does_not_change_the_result():
    _, ours = pair()
    x_BTD = torch.randn(2, 9, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        alone = ours(x_BTD[1:, :5])
        together = ours(x_BTD, torch.tensor([9, 5]))[1:, :5]
    assert torch.allclose(alone, together, atol=1e-4)


@pytest.mark.parametrize("sizes", [(320, 800), (16, 20), (8, 3), (32, 1000)])
def test_buckets_equal_those_of_transformers_at_every_distance(sizes):
    theirs, ours = pair(n_buckets=sizes[0], max_distance=sizes[1])
    expected = theirs.compute_bias(1, 1201)[:, 0]
    assert ours.position_bias.by_distance(1201)[:, 1200:].equal(expected)
    before = theirs.compute_bias(1201, 1)[:, :, 0]
    assert ours.position_bias.by_distance(1201)[:, :1201].flip(1).equal(before)


@pytest.mark.parametrize(
    ("n_buckets", "max_distance", "message"),
    [
        (3, 800, "n_buckets=3; allowed: 4 <="),
        (9, 800, "n_buckets=9; half are for later frames, give an even number"),
        (320, 80, "max_distance=80; allowed: 81 <="),
    ],
)
def test_buckets_that_the_formula_cannot_have_are_refused(n_buckets, max_distance, message):
    with pytest.raises(ConfigError, match=message):
        PositionBias(4, n_buckets, max_distance)
