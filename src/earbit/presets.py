"""Every model by name; a preset is a function that returns a config."""

from __future__ import annotations

from collections.abc import Callable

from earbit.config import suggest
from earbit.encoders.conformer import ConformerConfig
from earbit.encoders.sparseformer import SparseformerConfig
from earbit.encoders.squeezeformer import SqueezeformerConfig
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig

TINY_FRONT_END = FrontEndConfig(n_channels=64)


def hubert_base() -> ModelConfig:
    """HuBERT Base exactly: 94,371,712 parameters without a head."""
    return ModelConfig(encoder=TransformerConfig(n_layers=12, d_model=768, n_heads=12, d_ffn=3072))


def hubert_large() -> ModelConfig:
    """HuBERT Large: pre-norm, a layer norm after every convolution, normalised audio."""
    return _large(n_layers=24, d_model=1024, d_ffn=4096, d_unit=768)


def hubert_xlarge() -> ModelConfig:
    """HuBERT X-Large: twice the layers of Large, and wider."""
    return _large(n_layers=48, d_model=1280, d_ffn=5120, d_unit=1024)


def _large(n_layers: int, d_model: int, d_ffn: int, d_unit: int) -> ModelConfig:
    return ModelConfig(
        encoder=TransformerConfig(
            n_layers=n_layers,
            d_model=d_model,
            n_heads=16,
            d_ffn=d_ffn,
            norm="pre",
            dropout=0.0,
            layer_drop=0.0,
        ),
        front_end=FrontEndConfig(norm="layer"),
        d_unit=d_unit,
        dropout_input=0.0,
        normalize_waveform=True,
        feature_gradient_scale=1.0,
    )


def hubert_tiny() -> ModelConfig:
    """A HuBERT that trains in seconds on two cores."""
    return ModelConfig(
        encoder=TransformerConfig(n_layers=3, d_model=96, n_heads=4, d_ffn=384, layer_drop=0.0),
        front_end=TINY_FRONT_END,
    )


def conformer_s() -> ModelConfig:
    """Conformer-S behind HuBERT's front end and positional convolution."""
    return ModelConfig(encoder=ConformerConfig(n_layers=16, d_model=144, n_heads=4, d_ffn=576))


def squeezeformer_xs() -> ModelConfig:
    """Squeezeformer-XS likewise; blocks 7 to 14 see a frame per 40 ms."""
    return ModelConfig(
        encoder=SqueezeformerConfig(
            n_layers=16, d_model=144, n_heads=4, d_ffn=576, reduce_before=7, recover_before=15
        )
    )


def conformer_tiny() -> ModelConfig:
    """A Conformer that trains in seconds on two cores."""
    return ModelConfig(
        encoder=ConformerConfig(n_layers=3, d_model=64, n_heads=4, d_ffn=256, layer_drop=0.0),
        front_end=TINY_FRONT_END,
    )


def squeezeformer_tiny() -> ModelConfig:
    """A Squeezeformer that trains in seconds on two cores."""
    return ModelConfig(
        encoder=SqueezeformerConfig(
            n_layers=3,
            d_model=64,
            n_heads=4,
            d_ffn=256,
            reduce_before=1,
            recover_before=2,
            layer_drop=0.0,
        ),
        front_end=TINY_FRONT_END,
    )


def sparseformer_dn_s() -> ModelConfig:
    """Deep and narrow, as deep and as narrow as Conformer-S; the exact shape is ours."""
    return ModelConfig(encoder=SparseformerConfig(n_layers=16, d_model=144, n_heads=4, d_ffn=576))


def sparseformer_sw_s() -> ModelConfig:
    """Shallow and wide: half the layers and twice the width of `sparseformer-dn-s`."""
    return ModelConfig(encoder=SparseformerConfig(n_layers=8, d_model=288, n_heads=8, d_ffn=1152))


def sparseformer_dn_tiny() -> ModelConfig:
    """A deep and narrow Sparseformer that trains in seconds on two cores."""
    return ModelConfig(
        encoder=SparseformerConfig(n_layers=4, d_model=64, n_heads=4, d_ffn=256, layer_drop=0.0),
        front_end=TINY_FRONT_END,
    )


def sparseformer_sw_tiny() -> ModelConfig:
    """A shallow and wide Sparseformer that trains in seconds on two cores."""
    return ModelConfig(
        encoder=SparseformerConfig(n_layers=2, d_model=96, n_heads=4, d_ffn=384, layer_drop=0.0),
        front_end=TINY_FRONT_END,
    )


PRESETS: dict[str, Callable[[], ModelConfig]] = {
    "hubert-base": hubert_base,
    "hubert-large": hubert_large,
    "hubert-xlarge": hubert_xlarge,
    "hubert-tiny": hubert_tiny,
    "conformer-s": conformer_s,
    "conformer-tiny": conformer_tiny,
    "squeezeformer-xs": squeezeformer_xs,
    "squeezeformer-tiny": squeezeformer_tiny,
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
