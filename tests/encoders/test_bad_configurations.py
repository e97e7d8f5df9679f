"""What cannot be built is refused with the value, and what is suggested instead can be built."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from earbit.encoders.conformer import ConformerConfig
from earbit.encoders.sparseformer import SparseformerConfig, WindowConfig
from earbit.encoders.squeezeformer import SqueezeformerConfig
from earbit.encoders.table import ENCODERS, build_encoder
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError
from earbit.nn.front_end import FrontEndConfig

SHAPE = {"n_layers": 4, "d_model": 64, "n_heads": 4, "d_ffn": 128}


def squeezeformer(**fields):
    return SqueezeformerConfig(**{"reduce_before": 1, "recover_before": 2, **SHAPE, **fields})


def transformer(**fields):
    return TransformerConfig(**(SHAPE | fields))


def conformer(**fields):
    return ConformerConfig(**(SHAPE | fields))


def sparseformer(**fields):
    return SparseformerConfig(**(SHAPE | fields))


@given(d_model=st.integers(1, 2000), n_heads=st.integers(1, 40))
@pytest.mark.parametrize("build", [transformer, conformer, squeezeformer, sparseformer])
def test_the_width_that_is_suggested_fits(build, d_model, n_heads):
    try:
        build(d_model=d_model, n_heads=n_heads)
    except ConfigError as error:
        nearest = re.search(rf"d_model={d_model} .*nearest that fits is (\d+)", str(error))[1]
        build(d_model=int(nearest), n_heads=n_heads)


def test_without_a_positional_convolution_heads_alone_divide_the_width():
    conformer(d_model=150, n_heads=5, position_kernel=None)
    with pytest.raises(ConfigError, match="nearest that fits is 150"):
        conformer(d_model=151, n_heads=5, position_kernel=None)


@given(
    reduce_before=st.integers(-3, 9), recover_before=st.integers(-3, 9), n_layers=st.integers(2, 6)
)
def test_the_blocks_of_the_u_net_that_are_suggested_fit(reduce_before, recover_before, n_layers):
    try:
        squeezeformer(n_layers=n_layers, reduce_before=reduce_before, recover_before=recover_before)
    except ConfigError as error:
        first, last = re.search(r"nearest that fit are (-?\d+) and (-?\d+)", str(error)).groups()
        squeezeformer(n_layers=n_layers, reduce_before=int(first), recover_before=int(last))


@pytest.mark.parametrize(
    ("build", "fields", "message"),
    [
        (WindowConfig, {"frames": 0}, "frames=0; allowed: 1 <= frames"),
        (WindowConfig, {"frames": -3}, "frames=-3"),
        (WindowConfig, {"frames": 2.5}, "frames=2.5; allowed: a whole number"),
        (conformer, {"conv_kernel": 30}, "conv_kernel=30 is even.*fits is 31"),
        (squeezeformer, {"conv_kernel": 0}, "conv_kernel=0"),
        (squeezeformer, {"n_layers": 1}, "n_layers=1; allowed: 2 <="),
        (transformer, {"norm": "middle"}, "norm='middle'; allowed: post, pre"),
        (transformer, {"dropout": 1.0}, "dropout=1.0"),
        (transformer, {"layer_drop": float("nan")}, "layer_drop=nan"),
        (transformer, {"n_layers": 0}, "n_layers=0"),
        (FrontEndConfig, {"norm": "group"}, "norm='group'; allowed: channel, layer, batch"),
        (FrontEndConfig, {"n_channels": 0}, "n_channels=0"),
    ],
)
def test_a_configuration_that_cannot_be_names_its_value(build, fields, message):
    with pytest.raises(ConfigError, match=message):
        build(**fields)


BLOCKS = {SqueezeformerConfig: {"reduce_before": 1, "recover_before": 2}}
WITHOUT_POSITIONS = {ConformerConfig, SqueezeformerConfig}


@pytest.mark.parametrize("kernel", [None, 0, -2, 1.5, "8", 1, 8])
@pytest.mark.parametrize("config", ENCODERS)
def test_a_positional_kernel_that_is_accepted_can_be_built(config, kernel):
    fields = {**SHAPE, **BLOCKS.get(config, {}), "position_kernel": kernel}
    if kernel in (1, 8) or (kernel is None and config in WITHOUT_POSITIONS):
        encoder = build_encoder(config(**fields))
        assert encoder(torch.zeros(1, 9, 64))[-1].shape == (1, 9, 64)
    else:
        with pytest.raises(ConfigError, match=f"position_kernel={kernel!r}; allowed: "):
            config(**fields)
