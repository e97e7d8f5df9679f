"""Every parameter of a fresh model against the distribution that its group has in the papers' code.

The groups are told by the parameter's name and shape; a parameter of no group fails.  Estimates
may miss by five of their own standard errors, and the seed is fixed.
"""

import math
import re

import pytest
import torch

from earbit.encoders.conformer import ConformerConfig
from earbit.encoders.sparseformer import SparseformerConfig
from earbit.encoders.squeezeformer import SqueezeformerConfig
from earbit.encoders.table import build_encoder
from earbit.encoders.transformer import TransformerConfig
from earbit.model import AudioModel, ModelConfig
from earbit.nn.front_end import FrontEndConfig

D_MODEL, CONV_KERNEL, POSITION_KERNEL = 128, 15, 32
SHAPE = {
    "n_layers": 2,
    "d_model": D_MODEL,
    "n_heads": 4,
    "d_ffn": 320,
    "position_kernel": POSITION_KERNEL,
}
LIKE_BERT = {
    "transformer": TransformerConfig(**SHAPE),
    "pre-norm": TransformerConfig(norm="pre", **SHAPE),
    "window": SparseformerConfig(**SHAPE),
}
CONVOLUTIONAL = {
    "conformer": ConformerConfig(conv_kernel=CONV_KERNEL, **SHAPE),
    "squeezeformer": SqueezeformerConfig(
        conv_kernel=CONV_KERNEL, reduce_before=0, recover_before=1, **SHAPE
    ),
}


def fresh(config) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_encoder(config)


def assert_normal(name: str, x: torch.Tensor, std: float) -> None:
    n = x.numel()
    assert abs(float(x.mean())) < 5 * std / math.sqrt(n), name
    assert abs(float(x.std()) / std - 1) < 5 / math.sqrt(2 * n), name
    # A uniform distribution of this standard deviation would end at 1.73 of it.
    assert float(x.abs().max()) > 2 * std, name


def assert_uniform(name: str, x: torch.Tensor, low: float, high: float) -> None:
    # The chance that the outermost of n is this far from the bound is e^-10.
    n, width = x.numel(), high - low
    margin = 10 * width / n
    assert low <= float(x.min()) < low + margin, name
    assert high - margin < float(x.max()) <= high, name
    std = width / math.sqrt(12)
    assert abs(float(x.mean()) - (low + high) / 2) < 5 * std / math.sqrt(n), name
    assert abs(float(x.std()) / std - 1) < 5 / math.sqrt(2 * n), name


def is_constant(name: str, parameter: torch.Tensor) -> bool:
    """Whether it is of a norm, a learned scale or an attention's bias; checked if it is."""
    if re.search(r"(norm|norms\.\d)\.weight$|\.scale$", name):
        assert torch.equal(parameter, torch.ones_like(parameter)), name
    elif re.search(r"(norm|norms\.\d)\.bias$|\.shift$|\.(content|position)_bias$", name):
        assert torch.equal(parameter, torch.zeros_like(parameter)), name
    else:
        return False
    return True


@pytest.mark.parametrize("config", LIKE_BERT.values(), ids=LIKE_BERT)
def test_linear_layers_of_transformers_start_like_those_of_bert(config):
    layers = fresh(config).layers
    n_dense = 0
    for name, parameter in layers.named_parameters():
        if is_constant(name, parameter):
            continue
        if name.endswith(".weight"):
            assert parameter.dim() == 2, name
            assert_normal(name, parameter.detach(), 0.02)
            n_dense += 1
        else:
            assert name.endswith(".bias")
            assert not parameter.any(), name
    # Query, key, value, output, and two of the feed-forward, in two layers.
    assert n_dense == 2 * 6


@pytest.mark.parametrize("config", CONVOLUTIONAL.values(), ids=CONVOLUTIONAL)
def test_layers_with_convolutions_start_uniform_in_the_inverse_root_of_the_inputs(config):
    encoder = fresh(config)
    parameters = dict(encoder.named_parameters())
    n_dense = n_depthwise = n_constant = 0
    for name, parameter in parameters.items():
        if name.startswith("position."):
            continue
        if is_constant(name, parameter):
            n_constant += 1
            continue
        weight = parameters[f"{name.rsplit('.', 1)[0]}.weight"]
        is_depthwise = weight.dim() == 3
        # Inputs of one output: a depthwise convolution's kernel, a dense layer's width.
        assert weight.shape[1] == 1 or not is_depthwise
        bound = weight[0].numel() ** -0.5
        assert_uniform(name, parameter.detach(), -bound, bound)
        n_dense += name.endswith(".weight") and not is_depthwise
        n_depthwise += name.endswith(".weight") and is_depthwise
    # Five of the attention, four of two feed-forwards, two pointwise; the U-Net has two more.
    is_u_net = isinstance(config, SqueezeformerConfig)
    assert n_dense == 2 * (5 + 4 + 2) + 2 * is_u_net
    assert n_depthwise == 2 + is_u_net
    # Per layer: u and v; five norms, or four with a learned scale each and the batch norm.  One in
    # front of the layers.
    norms_of_a_layer = 4 * 2 + 1 if is_u_net else 5 + 1
    assert n_constant == 2 * (2 + 2 * norms_of_a_layer) + 2


@pytest.mark.parametrize(
    "config", [*LIKE_BERT.values(), *CONVOLUTIONAL.values()], ids=[*LIKE_BERT, *CONVOLUTIONAL]
)
def test_positional_convolution_starts_with_the_spread_of_wav2vec(config):
    encoder = fresh(config)
    conv = encoder.position.conv
    weight = conv.weight.detach()
    assert weight.shape == (D_MODEL, D_MODEL // 16, POSITION_KERNEL)
    assert_normal("position", weight, math.sqrt(4 / (POSITION_KERNEL * D_MODEL)))
    assert not conv.bias.any()
    assert torch.equal(encoder.norm.weight, torch.ones(D_MODEL))
    assert torch.equal(encoder.norm.bias, torch.zeros(D_MODEL))


@pytest.mark.parametrize("norm", ["channel", "layer"])
def test_front_end_starts_kaiming_normal(norm):
    torch.manual_seed(0)
    config = FrontEndConfig(n_channels=64, norm=norm)
    front_end = AudioModel(ModelConfig(encoder=LIKE_BERT["window"], front_end=config)).front_end
    names = [name for name, parameter in front_end.named_parameters() if parameter.dim() == 3]
    assert names == [f"convs.{i}.weight" for i in range(7)]
    for name, parameter in front_end.named_parameters():
        if name in names:
            n_inputs, kernel = parameter.shape[1:]
            assert_normal(name, parameter.detach(), math.sqrt(2 / (n_inputs * kernel)))
        else:
            assert is_constant(name, parameter), name


def test_mask_and_unit_embeddings_start_uniform_between_zero_and_one():
    torch.manual_seed(0)
    config = ModelConfig(
        encoder=LIKE_BERT["window"], front_end=FrontEndConfig(n_channels=32), n_units=50
    )
    model = AudioModel(config)
    assert_uniform("mask", model.mask_embedding.detach(), 0, 1)
    assert_uniform("units", model.head.embeddings.detach(), 0, 1)
    # Fairseq leaves the layers before and after the encoder as torch makes them.
    for linear in (model.projection, model.head.projection):
        bound = linear.in_features**-0.5
        assert_uniform("projection", linear.weight.detach(), -bound, bound)
    assert is_constant("feature_norm.weight", model.feature_norm.weight)
    assert is_constant("feature_norm.bias", model.feature_norm.bias)
