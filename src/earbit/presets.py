"""Presets: configurations of models by name, as plain values that need no PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from earbit.config import from_dict
from earbit.errors import ConfigError
from earbit.extras import needed_for_training

if TYPE_CHECKING:
    from earbit.model import ModelConfig

Values = dict[str, Any]

_LARGE: Values = {
    "front_end": {"norm": "layer"},
    "dropout_input": 0.0,
    "normalize_waveform": True,
    "feature_gradient_scale": 1.0,
}
"""Front end of HuBERT Large and X-Large: normalised audio, layer norm after every convolution."""
_TINY: Values = {"front_end": {"n_channels": 64}}
"""A front end that trains in seconds on two cores."""


def _transformer(n_layers: int, d_model: int, n_heads: int, d_ffn: int, **more: Any) -> Values:
    return _encoder("transformer", n_layers, d_model, n_heads, d_ffn, **more)


def _encoder(
    kind: str, n_layers: int, d_model: int, n_heads: int, d_ffn: int, **more: Any
) -> Values:
    shape = {"n_layers": n_layers, "d_model": d_model, "n_heads": n_heads, "d_ffn": d_ffn}
    return {"encoder": {"type": kind, **shape, **more}}


def _streaming(
    n_layers: int,
    d_model: int,
    n_heads: int,
    d_ffn: int,
    *,
    look_ahead: Mapping[int, int],
    **more: Any,
) -> Values:
    """A Sparseformer that streams; look_ahead: frames of the layers that have any."""
    window = {"left": 32, "right": [look_ahead.get(i, 0) for i in range(n_layers)]}
    causal = {"window": window, "position": {"causal": True}}
    encoder = _encoder(
        "sparseformer", n_layers, d_model, n_heads, d_ffn, position_kernel=64, **causal, **more
    )
    return encoder | {"front_end": {"type": "filterbank"}}


_PRE_NORM = {"norm": "pre", "dropout": 0.0, "layer_drop": 0.0}

PRESETS: dict[str, Values] = {
    # HuBERT Base exactly: 94,371,712 parameters without a head.
    "hubert-base": _transformer(12, 768, 12, 3072),
    "hubert-large": _transformer(24, 1024, 16, 4096, **_PRE_NORM) | _LARGE | {"d_unit": 768},
    "hubert-xlarge": _transformer(48, 1280, 16, 5120, **_PRE_NORM) | _LARGE | {"d_unit": 1024},
    "hubert-tiny": _transformer(3, 96, 4, 384, layer_drop=0.0) | _TINY,
    # On log mel energies, for keywords: little to compute, and fast to train.
    "hubert-fbank-tiny": _transformer(4, 128, 4, 512, layer_drop=0.0, position_kernel=64)
    | {"front_end": {"type": "filterbank"}},
    # WavLM Base+ exactly, and a small one.
    "wavlm-base": _encoder("wavlm", 12, 768, 12, 3072),
    "wavlm-tiny": _encoder("wavlm", 3, 96, 4, 384, layer_drop=0.0) | _TINY,
    # Conformer-S and Squeezeformer-XS behind HuBERT's front end and positional convolution.
    "conformer-s": _encoder("conformer", 16, 144, 4, 576),
    "conformer-tiny": _encoder("conformer", 3, 64, 4, 256, layer_drop=0.0) | _TINY,
    "squeezeformer-xs": _encoder(
        "squeezeformer", 16, 144, 4, 576, reduce_before=7, recover_before=15
    ),
    "squeezeformer-tiny": _encoder(
        "squeezeformer", 3, 64, 4, 256, reduce_before=1, recover_before=2, layer_drop=0.0
    )
    | _TINY,
    # Deep and narrow like Conformer-S; shallow and wide: half the layers, twice the width.  The
    # paper's table of shapes was not readable, so these shapes are earbit's choice.
    "sparseformer-dn-s": _encoder("sparseformer", 16, 144, 4, 576),
    "sparseformer-sw-s": _encoder("sparseformer", 8, 288, 8, 1152),
    "sparseformer-dn-tiny": _encoder("sparseformer", 4, 64, 4, 256, layer_drop=0.0) | _TINY,
    "sparseformer-sw-tiny": _encoder("sparseformer", 2, 96, 4, 384, layer_drop=0.0) | _TINY,
    # Rows while audio arrives, 330 and 310 ms behind it; 30 ms with encoder.window.right=0.
    "sparseformer-stream-s": _streaming(16, 144, 4, 576, look_ahead={4: 5, 8: 5, 12: 5}),
    "sparseformer-stream-tiny": _streaming(4, 64, 4, 256, look_ahead={1: 7, 3: 7}, layer_drop=0.0),
}


def require_preset(name: str) -> None:
    """Raises ConfigError with all names for an unknown preset."""
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}; allowed: {', '.join(PRESETS)}")


def preset(name: str) -> ModelConfig:
    """The configuration of a preset.

    Raises errors as `require_preset`, and UnsupportedError without the extra `train`.
    """
    require_preset(name)
    try:
        from earbit.model import ModelConfig
    except ModuleNotFoundError as missing:
        error = needed_for_training(missing, "earbit.preset")
        if error is None:
            raise
        raise error from missing

    config: ModelConfig = from_dict(ModelConfig, PRESETS[name], where=f"preset {name}")
    return config
