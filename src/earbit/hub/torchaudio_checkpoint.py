"""Imports HuBERT, wav2vec 2.0 and WavLM from a state dict of torchaudio, which has no settings.

Shapes give most settings.  The others are assumed as in the published models, and reported.
Source: pytorch/audio, torchaudio/models/wav2vec2/components.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from earbit.errors import FormatError, UnsupportedError
from earbit.frames import KERNELS
from earbit.hub.checkpoint import has_tensors, imported, top_level, weights_of
from earbit.hub.hugging_face_config import NOT_IMPORTED, model_config
from earbit.hub.importer import Imported, Importer
from earbit.hub.stored_tensors import Stored, StoredTensor
from earbit.hub.tensor_names import from_torchaudio, our_name
from earbit.nn.positional import N_GROUPS
from earbit.progress import say

FIRST = "feature_extractor.conv_layers.0.conv.weight"
LAST = "encoder.transformer.layer_norm.weight"
PREFIXES = ("", "wav2vec2.", "model.", "model.wav2vec2.")
N_HEADS = {768: 12, 1024: 16, 1280: 16, 1920: 16}
"""Heads of the published models by width."""
HEAD_WIDTH = 64
"""Width of a head in models of other widths, as in most published ones."""
MAX_DISTANCE = 800
"""Distance of the last bucket in the published WavLM models."""
PACKED = "attention.attention.in_proj_"
STATES = (
    "state k from 1 on is the k-th item of extract_features of torchaudio, state 0 the encoder's "
    "input, and the last state is normed in pre-norm models"
)


def _recognises(path: Path) -> bool:
    return _prefix(top_level(path)) is not None


def _prefix(root: dict[Any, Any]) -> str | None:
    return next((p for p in PREFIXES if has_tensors(root, p + FIRST, p + LAST)), None)


def _read(path: Path) -> Imported:
    root = top_level(path)
    prefix = _prefix(root)
    _, stored, heads = weights_of(path, root, prefix or "")
    # In models for pre-training, the mask embedding has no prefix of the model.
    mask = "mask_generator.mask_embedding"
    _, every, _ = weights_of(path, root)
    if mask in heads:
        stored[mask] = every[mask]
        del heads[mask]
    shapes = _Shapes(path, {name: tensor.shape for name, tensor in stored.items()})
    values, assumed = shapes.settings()
    named = {our_name(from_torchaudio(name)): t for name, t in _unpacked(path, stored).items()}
    config = model_config(path, values)
    return imported(path, TORCHAUDIO.title, config, named, heads, states=STATES, assumed=assumed)


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Settings that follow from the shapes of tensors."""

    path: Path
    shapes: dict[str, tuple[int, ...]]

    def _of(self, name: str, n_dimensions: int) -> tuple[int, ...]:
        shape = self.shapes.get(name)
        if shape is None or len(shape) != n_dimensions:
            raise FormatError(f"{self.path}: 1 tensors missing: {name}; the file is a part")
        return shape

    def settings(self) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Values of a configuration, and the settings that were assumed."""
        convs = [
            self._of(f"feature_extractor.conv_layers.{i}.conv.weight", 3)
            for i in range(len(KERNELS))
        ]
        if tuple(shape[2] for shape in convs) != tuple(KERNELS):
            raise UnsupportedError(
                f"{self.path}: kernels {[shape[2] for shape in convs]} of the front end; allowed: "
                f"{KERNELS}; {NOT_IMPORTED}"
            )
        d_model = self._of(LAST, 1)[0]
        has_layer_norms = "feature_extractor.conv_layers.6.layer_norm.weight" in self.shapes
        layers = [re.match(r"encoder\.transformer\.layers\.(\d+)\.", n) for n in self.shapes]
        at = "encoder.transformer.layers.0."
        encoder: dict[str, Any] = {
            "type": "transformer",
            "n_layers": 1 + max((int(found[1]) for found in layers if found), default=0),
            "d_model": d_model,
            "n_heads": N_HEADS.get(d_model, max(1, d_model // HEAD_WIDTH)),
            "d_ffn": self._of(f"{at}feed_forward.intermediate_dense.weight", 2)[0],
            "norm": "pre" if has_layer_norms else "post",
            "position_kernel": self._position_kernel(d_model),
        }
        assumed = [f"{encoder['norm']}-norm layers"]
        table = self.shapes.get(f"{at}attention.rel_attn_embed.weight")
        if table is not None and len(table) == 2:
            encoder |= {"type": "wavlm", "n_buckets": table[0], "n_heads": table[1]}
            encoder["max_distance"] = MAX_DISTANCE
            assumed.append(f"distances up to {MAX_DISTANCE} frames")
        else:
            assumed.append(f"{encoder['n_heads']} heads")
            if d_model not in N_HEADS:
                say(
                    f"{self.path}: width {d_model} is that of no published model (published: "
                    f"{', '.join(map(str, N_HEADS))}), so {encoder['n_heads']} heads of width "
                    f"{HEAD_WIDTH} are assumed; if the model has another number, its states are "
                    "wrong, so import it from a format with settings, such as a Hugging Face folder"
                )
        assumed.append(f"waveform {'' if has_layer_norms else 'not '}normalized")
        values = {
            "encoder": encoder,
            "front_end": {
                "n_channels": convs[0][0],
                "norm": "layer" if has_layer_norms else "channel",
                "conv_bias": "feature_extractor.conv_layers.0.conv.bias" in self.shapes,
            },
            "normalize_waveform": has_layer_norms,
            "feature_gradient_scale": 1.0 if has_layer_norms else 0.1,
        }
        return values, tuple(assumed)

    def _position_kernel(self, d_model: int) -> int:
        at = "encoder.transformer.pos_conv_embed.conv."
        names = (f"{at}weight_v", f"{at}parametrizations.weight.original1", f"{at}weight")
        name = next((n for n in names if n in self.shapes), names[1])
        shape = self._of(name, 3)
        if shape[1] * N_GROUPS != d_model:
            raise UnsupportedError(
                f"{self.path}: {d_model // max(1, shape[1])} groups of the positional convolution; "
                f"allowed: {N_GROUPS}; {NOT_IMPORTED}"
            )
        return shape[2]


def _unpacked(path: Path, stored: Stored) -> Stored:
    """Queries, keys and values of WavLM as three tensors, which torchaudio stores as one.

    Raises FormatError for a tensor that is not three of one shape.
    """
    unpacked: Stored = {}
    for name, tensor in stored.items():
        if PACKED not in name:
            unpacked[name] = tensor
            continue
        if not tensor.shape or tensor.shape[0] % 3:
            raise FormatError(
                f"{path}: {name} of shape {tensor.shape}; allowed: rows of queries, keys and "
                "values, three times as many as the width; get the file from another place"
            )
        before, _, kind = name.partition(PACKED)
        shape = (tensor.shape[0] // 3, *tensor.shape[1:])
        for i, role in enumerate("qkv"):
            part = StoredTensor(shape, tensor.is_floating, partial(_third, tensor, i))
            unpacked[f"{before}attention.{role}_proj.{kind}"] = part
    return unpacked


def _third(tensor: StoredTensor, i: int) -> Tensor:
    return tensor.read().chunk(3)[i]


TORCHAUDIO = Importer("state dict of torchaudio", _recognises, _read)
