"""Converts the configuration of a Hugging Face folder: HuBERT, wav2vec 2.0 and WavLM."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earbit.config import from_dict
from earbit.errors import ConfigError, FormatError, UnsupportedError, shown
from earbit.frames import KERNELS, STRIDES
from earbit.hub.file_names import PREPROCESSOR
from earbit.model import ModelConfig
from earbit.nn.positional import N_GROUPS
from earbit.progress import say

PROCESSOR = "processor_config.json"
FAMILIES = {"hubert": "HuBERT", "wav2vec2": "wav2vec 2.0", "wavlm": "WavLM"}
"""`model_type` in config.json and name."""
# Fields with one value in `AudioModel`, and their defaults in transformers.
FIXED: dict[str, Any] = {
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "conv_kernel": list(KERNELS),
    "conv_stride": list(STRIDES),
    "num_conv_pos_embedding_groups": N_GROUPS,
    "layer_norm_eps": 1e-5,
    "add_adapter": False,
    "adapter_attn_dim": None,
}
NOT_IMPORTED = "this model cannot be imported"
NORMS = {"group": "channel", "layer": "layer"}
"""Norm of the front end: name in transformers to name in earbit."""
RATE_HZ = 16_000
WAVEFORM_EPS = 1e-7
"""Term that their feature extractor adds to the variance of normalised audio."""


def config_of(path: Path, described: Mapping[str, Any], *, normalizes: bool) -> ModelConfig:
    """The configuration in a config.json, whose path is for messages.

    Raises UnsupportedError, naming the field, for a model that `AudioModel` cannot express, and
    FormatError for missing and invalid fields.
    """
    for field, ours in FIXED.items():
        _require(path, field, described.get(field, ours), ours)
    channels = described.get("conv_dim", [512] * len(KERNELS))
    if not isinstance(channels, list) or not channels or channels != channels[:1] * len(KERNELS):
        allowed = f"{len(KERNELS)} equal widths"
        raise UnsupportedError(
            f"{path}: conv_dim={shown(channels)}; allowed: {allowed}; {NOT_IMPORTED}"
        )
    norm = described.get("feat_extract_norm", "group")
    if not isinstance(norm, str) or norm not in NORMS:
        raise UnsupportedError(
            f"{path}: feat_extract_norm={shown(norm)}; allowed: {', '.join(NORMS)}; {NOT_IMPORTED}"
        )
    is_pre_norm = bool(described.get("do_stable_layer_norm", False))
    try:
        encoder = {
            "n_layers": described["num_hidden_layers"],
            "d_model": described["hidden_size"],
            "n_heads": described["num_attention_heads"],
            "d_ffn": described["intermediate_size"],
            "norm": "pre" if is_pre_norm else "post",
            "position_kernel": described.get("num_conv_pos_embeddings", 128),
            "dropout": described.get("hidden_dropout", 0.1),
            "layer_drop": described.get("layerdrop", 0.1),
        }
    except KeyError as error:
        raise FormatError(f"{path}: {error} missing; download the folder again") from error
    if described["model_type"] == "wavlm":
        encoder["type"] = "wavlm"
        encoder["n_buckets"] = described.get("num_buckets", 320)
        encoder["max_distance"] = described.get("max_bucket_distance", 800)
    else:
        encoder["type"] = "transformer"
        has_batch_norm = bool(described.get("conv_pos_batch_norm", False))
        encoder["position_norm"] = "batch" if has_batch_norm else "weight"
    values = {
        "encoder": encoder,
        "front_end": {
            "n_channels": channels[0],
            "norm": NORMS[norm],
            "conv_bias": bool(described.get("conv_bias", False)),
        },
        "dropout_input": described.get("feat_proj_dropout", 0.0),
        "normalize_waveform": normalizes,
        "feature_gradient_scale": 1.0 if is_pre_norm else 0.1,
        "feature_norm": bool(described.get("feat_proj_layer_norm", True)),
    }
    if normalizes:
        values["waveform_eps"] = WAVEFORM_EPS
    return model_config(path, values)


def model_config(path: Path, values: Mapping[str, Any]) -> ModelConfig:
    """A configuration from plain values; raises FormatError, naming the source, else."""
    try:
        return from_dict(ModelConfig, values)
    except ConfigError as error:
        raise FormatError(f"{path}: {error}; {NOT_IMPORTED}") from error


def _require(path: Path, field: str, value: Any, allowed: Any) -> None:
    if value != allowed:
        raise UnsupportedError(
            f"{path}: {field}={shown(value)}; allowed: {allowed!r}; {NOT_IMPORTED}"
        )


def normalizes_waveform(folder: Path) -> bool:
    """Whether the feature extractor of a folder normalises audio; False, with a notice, without.

    Raises UnsupportedError for a sampling rate that is not 16 kHz.
    """
    for name in (PREPROCESSOR, PROCESSOR):
        if not (folder / name).is_file():
            continue
        described = json_object(folder / name)
        if name == PROCESSOR:
            described = described.get("feature_extractor", {})
        if not isinstance(described, dict) or "do_normalize" not in described:
            described = {"do_normalize": True} if name == PREPROCESSOR else {}
        if described:
            _require(
                folder / name, "sampling_rate", described.get("sampling_rate", RATE_HZ), RATE_HZ
            )
            return bool(described["do_normalize"])
    say(
        f"{folder}: no {PREPROCESSOR}, so the waveform is not normalized; if the model needs it, "
        "save its feature extractor there (feature_extractor.save_pretrained) and import again"
    )
    return False


def json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises FormatError for other content."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: cannot be read ({error}); download it again") from error
    if not isinstance(values, dict):
        raise FormatError(f"{path}: not a JSON object; download it again")
    return values
