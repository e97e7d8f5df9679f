"""Settings of fairseq, WavLM and s3prl, which have the same names, as our configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from earbit.errors import UnsupportedError, shown
from earbit.frames import KERNELS, STRIDES
from earbit.hub.checkpoint import Settings, first_set
from earbit.hub.hugging_face_config import NOT_IMPORTED, RATE_HZ, model_config
from earbit.model import ModelConfig
from earbit.nn.positional import N_GROUPS

# Fields with one value in `AudioModel`, which is also the default of fairseq.
FIXED: dict[str, Any] = {
    "activation_fn": "gelu",
    "layer_type": "transformer",
    "attention_type": "original",
    "attn_type": "",
    "pos_enc_type": "abs",
    "conv_pos_groups": N_GROUPS,
    "pos_conv_depth": 1,
    "adp_num": -1,
}
NORMS = {"default": "channel", "layer_norm": "layer"}
"""Values of `extractor_mode`, and our names."""
CONVS = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]"
_TUPLE = r"\(\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\)"
_TERM = re.compile(rf"\[\s*({_TUPLE}(?:\s*,\s*{_TUPLE})*)\s*,?\s*\](?:\s*\*\s*(\d{{1,2}}))?")


def fairseq_config(
    path: Path,
    settings: Settings,
    tasks: Sequence[Settings],
    *,
    has_feature_norm: bool = True,
) -> ModelConfig:
    """The configuration of a model from its settings in a checkpoint, whose path is for messages.

    tasks: places that may have the rate of the audio and whether it is normalised, in order.
    Raises UnsupportedError, naming the field, for a model that `AudioModel` cannot express, and
    FormatError for invalid values.
    """
    for field, ours in FIXED.items():
        value = settings.get(field, ours)
        if value != ours and value is not None:
            raise UnsupportedError(
                f"{path}: {field}={shown(value)}; allowed: {ours!r}; {NOT_IMPORTED}"
            )
    if (rate := first_set(tasks, "sample_rate", RATE_HZ)) != RATE_HZ:
        raise UnsupportedError(
            f"{path}: sample_rate={shown(rate)}; allowed: {RATE_HZ}; {NOT_IMPORTED}"
        )
    mode = settings.get("extractor_mode", "default")
    if not isinstance(mode, str) or mode not in NORMS:
        raise UnsupportedError(
            f"{path}: extractor_mode={shown(mode)}; allowed: {', '.join(NORMS)}; {NOT_IMPORTED}"
        )
    convs = settings.get("extractor_conv_feature_layers", settings.get("conv_feature_layers"))
    encoder = {
        "type": "transformer",
        "n_layers": settings.get("encoder_layers", 12),
        "d_model": settings.get("encoder_embed_dim", 768),
        "n_heads": settings.get("encoder_attention_heads", 12),
        "d_ffn": settings.get("encoder_ffn_embed_dim", 3072),
        "norm": "pre" if settings.get("layer_norm_first") else "post",
        "position_kernel": settings.get("conv_pos", 128),
        "dropout": settings.get("dropout", 0.1),
        "layer_drop": settings.get("encoder_layerdrop", 0.0),
    }
    if settings.get("relative_position_embedding"):
        if not settings.get("gru_rel_pos"):
            raise UnsupportedError(
                f"{path}: gru_rel_pos=False; allowed: True with relative_position_embedding; "
                f"{NOT_IMPORTED}"
            )
        encoder["type"] = "wavlm"
        encoder["n_buckets"] = settings.get("num_buckets", 320)
        encoder["max_distance"] = settings.get("max_distance", 1280)
    elif settings.get("conv_pos_batch_norm"):
        encoder["position_norm"] = "batch"
    values = {
        "encoder": encoder,
        "front_end": {
            "n_channels": conv_channels(path, CONVS if convs is None else convs),
            "norm": NORMS[mode],
            "conv_bias": bool(settings.get("conv_bias", False)),
        },
        "dropout_input": settings.get("dropout_input", 0.0),
        "normalize_waveform": bool(first_set(tasks, "normalize", False)),
        "feature_gradient_scale": settings.get("feature_grad_mult", 1.0),
        "feature_norm": has_feature_norm,
    }
    return model_config(path, values)


def conv_channels(path: Path, text: Any) -> int:
    """Width of the front end from text like `[(512,10,5)] + [(512,3,2)] * 4`, never evaluated.

    Raises UnsupportedError for other kernels, strides or several widths.
    """
    convs: list[tuple[int, ...]] = []
    # Only text: a list of a file may hold one list in itself many times.
    for term in text[:1000].split("+") if isinstance(text, str) else ():
        found = _TERM.fullmatch(term.strip())
        if found is None:
            convs = []
            break
        tuples = re.findall(_TUPLE, found[1])
        read = [tuple(int(n) for n in re.findall(r"\d+", item)) for item in tuples]
        convs += read * int(found[2] or 1)
    expected = [(convs[0][0] if convs else 0, k, s) for k, s in zip(KERNELS, STRIDES, strict=True)]
    if convs != expected:
        raise UnsupportedError(
            f"{path}: conv_feature_layers={shown(text)}; allowed: kernels {KERNELS} and strides "
            f"{STRIDES} of one width, as in {CONVS}; {NOT_IMPORTED}"
        )
    return convs[0][0]
