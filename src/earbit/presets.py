"""Every model by name; a preset is a function that returns a config."""

from __future__ import annotations

from collections.abc import Callable

from earbit.config import suggest
from earbit.encoders.sparseformer import SparseformerConfig
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig

TINY_FRONT_END = FrontEndConfig(n_channels=64)


def hubert_base() -> ModelConfig:
    """HuBERT Base exactly: 94,371,712 parameters without a head."""
    return ModelConfig(encoder=TransformerConfig(n_layers=12, d_model=768, n_heads=12, d_ffn=3072))


def hubert_tiny() -> ModelConfig:
    """A HuBERT that trains in seconds on two cores."""
    return ModelConfig(
        encoder=TransformerConfig(n_layers=3, d_model=96, n_heads=4, d_ffn=384, layer_drop=0.0),
        front_end=TINY_FRONT_END,
    )


def sparseformer_dn_s() -> ModelConfig:
    """Deep and narrow, as deep and as narrow as Conformer-S; the exact shape is ours."""
    return ModelConfig(
        encoder=SparseformerConfig(n_layers=16, d_model=144, n_heads=4, d_ffn=576, window_frames=32)
    )


def sparseformer_sw_s() -> ModelConfig:
    """Shallow and wide: half the layers and twice the width of `sparseformer-dn-s`."""
    return ModelConfig(
        encoder=SparseformerConfig(n_layers=8, d_model=288, n_heads=8, d_ffn=1152, window_frames=32)
    )


def sparseformer_dn_tiny() -> ModelConfig:
    """A deep and narrow Sparseformer that trains in seconds on two cores."""
    return ModelConfig(
        encoder=SparseformerConfig(
            n_layers=4, d_model=64, n_heads=4, d_ffn=256, window_frames=32, layer_drop=0.0
        ),
        front_end=TINY_FRONT_END,
    )


def sparseformer_sw_tiny() -> ModelConfig:
    """A shallow and wide Sparseformer that trains in seconds on two cores."""
    return ModelConfig(
        encoder=SparseformerConfig(
            n_layers=2, d_model=96, n_heads=4, d_ffn=384, window_frames=32, layer_drop=0.0
        ),
        front_end=TINY_FRONT_END,
    )


PRESETS: dict[str, Callable[[], ModelConfig]] = {
    "hubert-base": hubert_base,
    "hubert-tiny": hubert_tiny,
    "sparseformer-dn-s": sparseformer_dn_s,
    "sparseformer-sw-s": sparseformer_sw_s,
    "sparseformer-dn-tiny": sparseformer_dn_tiny,
    "sparseformer-sw-tiny": sparseformer_sw_tiny,
}


def preset(name: str) -> ModelConfig:
    """The configuration called `name`; ConfigError with near names when there is none."""
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}{suggest(name, list(PRESETS))}")
    return PRESETS[name]()
