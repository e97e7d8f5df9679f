"""The Conformer against transformers' Wav2Vec2Conformer and against its published size."""

import pytest
import torch

from earbit.encoders.conformer import ConformerConfig, ConformerEncoder
from earbit.errors import ConfigError

CONFIG = ConformerConfig(n_layers=2, d_model=32, n_heads=4, d_ffn=64, position_kernel=None)

LAYER_NAMES = (
    ("first_norm", "ffn1_layer_norm"),
    ("first_feed_forward.intermediate", "ffn1.intermediate_dense"),
    ("first_feed_forward.output", "ffn1.output_dense"),
    ("second_norm", "ffn2_layer_norm"),
    ("second_feed_forward.intermediate", "ffn2.intermediate_dense"),
    ("second_feed_forward.output", "ffn2.output_dense"),
    ("attention_norm", "self_attn_layer_norm"),
    ("attention.q_proj", "self_attn.linear_q"),
    ("attention.k_proj", "self_attn.linear_k"),
    ("attention.v_proj", "self_attn.linear_v"),
    ("attention.out_proj", "self_attn.linear_out"),
    ("attention.position_proj", "self_attn.linear_pos"),
    ("attention.content_bias", "self_attn.pos_bias_u"),
    ("attention.position_bias", "self_attn.pos_bias_v"),
    ("convolution_norm", "conv_module.layer_norm"),
    ("convolution.expand", "conv_module.pointwise_conv1"),
    ("convolution.depthwise", "conv_module.depthwise_conv"),
    ("convolution.norm", "conv_module.batch_norm"),
    ("convolution.project", "conv_module.pointwise_conv2"),
    ("output_norm", "final_layer_norm"),
)
WITHOUT_BIAS = ("expand", "depthwise", "project")
"""Transformers' convolution module has no biases here."""


def their_state(ours: ConformerEncoder) -> dict[str, torch.Tensor]:
    states = {}
    for name, tensor in ours.state_dict().items():
        if name.endswith(".bias") and name.split(".")[-2] in WITHOUT_BIAS:
            assert not tensor.any()
            continue
        theirs = name
        for a, b in LAYER_NAMES:
            theirs = theirs.replace(f".{a}", f".{b}")
        is_pointwise = "pointwise" in theirs
        states[theirs] = tensor[..., None] if is_pointwise else tensor
    return states


def randomise(model: torch.nn.Module) -> None:
    """Away from the ones and zeros that many parts start with."""
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point():
            tensor.add_(0.1 * torch.randn(tensor.shape))
    for name, tensor in model.state_dict().items():
        if name.endswith(".bias") and name.split(".")[-2] in WITHOUT_BIAS:
            tensor.zero_()


@pytest.mark.parametrize("n_frames", [1, 2, 31, 50])
def test_every_layer_equals_that_of_transformers(n_frames):
    modeling = pytest.importorskip(
        "transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer"
    )
    torch.manual_seed(0)
    ours = ConformerEncoder(CONFIG).eval()
    randomise(ours)
    twin = modeling.Wav2Vec2ConformerEncoder(
        modeling.Wav2Vec2ConformerConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            hidden_act="swish",
            position_embeddings_type="relative",
            num_conv_pos_embedding_groups=16,
        )
    ).eval()
    missing, unexpected = twin.load_state_dict(their_state(ours), strict=False)
    assert not unexpected
    # Transformers builds these two and uses the first not at all, the second only at the very end.
    assert all(name.startswith(("pos_conv_embed", "layer_norm")) for name in missing)
    x = torch.randn(2, n_frames, 32)
    theirs = []
    for layer in twin.layers:
        layer.register_forward_hook(
            lambda _, __, y: theirs.append(y if torch.is_tensor(y) else y[0])
        )
    with torch.no_grad():
        twin(x)
        states = ours(x)
    for a, b in zip(states[1:], theirs, strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b, atol=1e-5)


def test_a_block_of_conformer_s_has_the_size_of_the_published_one():
    config = ConformerConfig(n_layers=16, d_model=144, n_heads=4, d_ffn=576, position_kernel=None)
    with torch.device("meta"):
        encoder = ConformerEncoder(config)
    n_parameters = sum(p.numel() for p in encoder.parameters())
    assert n_parameters == 16 * 506_736
    # With the 2-D subsampling of the recogniser it is the published Conformer-CTC-S.
    assert round((n_parameters + 188_208 + 414_864) / 1e6, 1) == 8.7


def test_far_frames_are_told_apart_from_near_ones():
    torch.manual_seed(0)
    encoder = ConformerEncoder(CONFIG).eval()
    randomise(encoder)
    x = torch.randn(1, 40, 32)
    far = x.clone()
    far[0, [30, 35]] = x[0, [35, 30]]
    with torch.no_grad():
        assert not torch.allclose(encoder(x)[-1][0, 0], encoder(far)[-1][0, 0], atol=1e-6)


def test_an_even_kernel_is_refused_with_the_next_that_fits():
    with pytest.raises(ConfigError, match="conv_kernel=32 is even.*33"):
        ConformerConfig(n_layers=1, d_model=32, n_heads=4, d_ffn=64, conv_kernel=32)
