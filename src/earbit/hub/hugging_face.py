"""Imports HuBERT from a Hugging Face folder: config.json and model.safetensors.

Hidden states equal those of transformers' `HubertModel` for single clips.  With a group norm in the
front end (Base), transformers lets the padding of a batch change its results; earbit does not.
Tensor names: huggingface/transformers, conversion of HuBERT from fairseq.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from earbit.config import from_dict
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import FormatError, UnsupportedError
from earbit.frames import KERNELS, STRIDES
from earbit.hub.importer import Imported, Importer
from earbit.model import AudioModel, ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.nn.positional import N_GROUPS
from earbit.nn.shapes_only import shapes_only
from earbit.progress import say

CONFIG, WEIGHTS, PREPROCESSOR = "config.json", "model.safetensors", "preprocessor_config.json"
# Fields with one value in `AudioModel`, and their defaults in transformers' HubertConfig.
FIXED: dict[str, Any] = {
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "conv_kernel": list(KERNELS),
    "conv_stride": list(STRIDES),
    "num_conv_pos_embedding_groups": N_GROUPS,
    "conv_pos_batch_norm": False,
    "feat_proj_layer_norm": True,
    "layer_norm_eps": 1e-5,
}
NOT_IMPORTED = "this model cannot be imported"
NORMS = {"group": "channel", "layer": "layer"}
"""Activation functions of the front end: name in transformers to name in earbit."""
NAMES = {
    "masked_spec_embed": "mask_embedding",
    "feature_projection.layer_norm": "feature_norm",
    "feature_projection.projection": "projection",
    "encoder.pos_conv_embed.conv": "encoder.position.conv",
    "encoder.layer_norm": "encoder.norm",
}
LAYER_NAMES = {
    "layer_norm": "attention_norm",
    "feed_forward.intermediate_dense": "feed_forward.intermediate",
    "feed_forward.output_dense": "feed_forward.output",
    "final_layer_norm": "output_norm",
}
GAIN = "parametrizations.weight.original0"
DIRECTION = "parametrizations.weight.original1"
WEIGHT_NORM_NAMES = {"weight_g": GAIN, "weight_v": DIRECTION}
"""Tensor names of PyTorch's older weight norm."""


def _recognises(path: Path) -> bool:
    try:
        described = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        return bool(described["model_type"] == "hubert")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _read(path: Path) -> Imported:
    described = _json(path / CONFIG)
    config = _config(path, described, _normalizes(path))
    theirs, digest = _tensors(path / WEIGHTS)
    with shapes_only():
        shapes = {name: t.shape for name, t in AudioModel(config).state_dict().items()}
    tensors = _renamed(theirs)
    _check(path / WEIGHTS, tensors, shapes)
    origin = {
        "stage": "import",
        "source": HUGGING_FACE_HUBERT.title,
        "sha256": digest,
        "transformers": str(described.get("transformers_version", "unknown")),
        "name": str(described.get("_name_or_path") or path.name),
    }
    return Imported(config, {name: tensors[name].float() for name in shapes}, origin)


def _config(path: Path, described: Mapping[str, Any], normalizes: bool) -> ModelConfig:
    for field, ours in FIXED.items():
        if (value := described.get(field, ours)) != ours:
            raise UnsupportedError(
                f"{path / CONFIG}: {field}={value!r}; allowed: {ours!r}; {NOT_IMPORTED}"
            )
    channels = described.get("conv_dim", [512] * len(KERNELS))
    if not isinstance(channels, list) or len(channels) != len(KERNELS) or len(set(channels)) != 1:
        raise UnsupportedError(
            f"{path / CONFIG}: conv_dim={channels!r}; allowed: {len(KERNELS)} equal widths; "
            f"{NOT_IMPORTED}"
        )
    norm = described.get("feat_extract_norm", "group")
    if norm not in NORMS:
        raise UnsupportedError(
            f"{path / CONFIG}: feat_extract_norm={norm!r}; allowed: {', '.join(NORMS)}; "
            f"{NOT_IMPORTED}"
        )
    is_pre_norm = bool(described.get("do_stable_layer_norm", False))
    try:
        shape = {
            "n_layers": described["num_hidden_layers"],
            "d_model": described["hidden_size"],
            "n_heads": described["num_attention_heads"],
            "d_ffn": described["intermediate_size"],
            "norm": "pre" if is_pre_norm else "post",
            "position_kernel": described.get("num_conv_pos_embeddings", 128),
            "dropout": described.get("hidden_dropout", 0.1),
            "layer_drop": described.get("layerdrop", 0.1),
        }
        encoder: TransformerConfig = from_dict(TransformerConfig, shape, "encoder")
        return ModelConfig(
            encoder=encoder,
            front_end=FrontEndConfig(
                n_channels=channels[0],
                norm="layer" if norm == "layer" else "channel",
                conv_bias=bool(described.get("conv_bias", False)),
            ),
            dropout_input=float(described.get("feat_proj_dropout", 0.0)),
            normalize_waveform=normalizes,
            feature_gradient_scale=1.0 if is_pre_norm else 0.1,
        )
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{error} missing" if isinstance(error, KeyError) else error
        raise FormatError(f"{path / CONFIG}: {reason}; download the folder again") from error


def _normalizes(path: Path) -> bool:
    """Whether the feature extractor of the folder normalises audio."""
    if not (path / PREPROCESSOR).is_file():
        say(
            f"{path}: no {PREPROCESSOR}, so the waveform is not normalized; if the model needs it, "
            "save its feature extractor there (feature_extractor.save_pretrained) and import again"
        )
        return False
    return bool(_json(path / PREPROCESSOR).get("do_normalize", True))


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: cannot be read ({error}); download it again") from error
    if not isinstance(values, dict):
        raise FormatError(f"{path}: not a JSON object; download it again")
    return values


def _tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Reads all tensors and the SHA-256 of the weight file."""
    if not path.is_file():
        others = sorted(p.name for p in path.parent.glob("*.bin")) or ["none"]
        raise FormatError(
            f"{path}: not there (weights in other forms: {', '.join(others)}); save the model with "
            "safetensors: model.save_pretrained(DIR), feature_extractor.save_pretrained(DIR)"
        )
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        with path.open("rb") as stream:
            return tensors, hashlib.file_digest(stream, "sha256").hexdigest()
    except (SafetensorError, OSError) as error:
        raise FormatError(f"{path}: cannot be read ({error}); download it again") from error


def _renamed(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by our names, without CTC and classification heads."""
    prefix = "hubert." if any(name.startswith("hubert.") for name in theirs) else ""
    ours = {
        _our_name(name.removeprefix(prefix)): tensor
        for name, tensor in theirs.items()
        if name.startswith(prefix)
    }
    position = "encoder.position.conv."
    fused = ours.pop(f"{position}weight", None)
    if fused is not None:
        # A weight without weight norm is its own direction, and its gain is the norm of each tap.
        ours[position + GAIN] = fused.float().norm(dim=(0, 1), keepdim=True)
        ours[position + DIRECTION] = fused
    return ours


def _our_name(name: str) -> str:
    parts = name.split(".")
    if name.startswith("feature_extractor.conv_layers."):
        group = {"conv": "convs", "layer_norm": "norms"}.get(parts[3], parts[3])
        return ".".join(["front_end", group, parts[2], *parts[4:]])
    if name.startswith("encoder.layers."):
        inner, last = ".".join(parts[3:-1]), parts[-1]
        return ".".join([*parts[:3], LAYER_NAMES.get(inner, inner), last])
    for theirs, ours in NAMES.items():
        if name == theirs:
            return ours
        if name.startswith(f"{theirs}."):
            rest = name.removeprefix(f"{theirs}.")
            return f"{ours}.{WEIGHT_NORM_NAMES.get(rest, rest)}"
    return name


def _check(path: Path, tensors: dict[str, Tensor], shapes: Mapping[str, torch.Size]) -> None:
    """Raises FormatError for missing or unknown tensors and for wrong shapes."""
    if "mask_embedding" not in tensors:
        # Missing in models that were fine-tuned without masking; only masking reads it.
        tensors["mask_embedding"] = torch.zeros(shapes["mask_embedding"])
    missing = [name for name in shapes if name not in tensors]
    unknown = [name for name in tensors if name not in shapes]
    wrong = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(shape)}"
        for name, shape in shapes.items()
        if name in tensors and tensors[name].shape != shape
    ]
    integers = [name for name, tensor in tensors.items() if not tensor.is_floating_point()]
    faults = {
        "missing": missing,
        "unknown": unknown,
        "of another shape": wrong,
        "of integers (a quantized model?)": integers,
    }
    for what, names in faults.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise FormatError(
                f"{path}: {len(names)} tensors {what}: {', '.join(names[:3])}{more}; the weights "
                "do not belong to this config.json"
            )


HUGGING_FACE_HUBERT = Importer("Hugging Face folder of a HuBERT", _recognises, _read)
