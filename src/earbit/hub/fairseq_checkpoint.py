"""Imports HuBERT and wav2vec 2.0 from a checkpoint of fairseq, pre-trained or fine-tuned.

The file holds `cfg` (new versions) or `args`, and the tensors in `model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from earbit.errors import FormatError
from earbit.hub.checkpoint import (
    Settings,
    fairseq_names,
    fields,
    first_set,
    has_tensors,
    imported,
    top_level,
    weights_of,
)
from earbit.hub.fairseq_config import fairseq_config
from earbit.hub.importer import Imported, Importer

FINE_TUNED = "w2v_encoder.w2v_model."
STATES = (
    "state k is what extract_features(output_layer=k) of fairseq returns, after residual sum and "
    "norm, and the last state is normed in pre-norm models; the third item of its layer_results is "
    "taken before the residual sum and is not given"
)


def _recognises(path: Path) -> bool:
    root = top_level(path)
    return _has_model(root) and bool(places_of(root)[0])


def _has_model(root: dict[Any, Any]) -> bool:
    first = "feature_extractor.conv_layers.0.0.weight"
    model = root.get("model")
    return has_tensors(model, first) or has_tensors(model, FINE_TUNED + first)


def places_of(root: dict[Any, Any]) -> tuple[Settings, Sequence[Settings]]:
    """Settings of the encoder, and all places that may say whether audio is normalised."""
    top = fields(root.get("cfg")) or fields(root.get("args"))
    of_model = fields(top.get("model")) or top
    inner = fields(of_model.get("w2v_args"))
    of_encoder = fields(inner.get("model")) or inner or of_model
    tasks = [fields(top.get("task")), of_model, fields(inner.get("task")), inner]
    return of_encoder, tasks


def _read(path: Path) -> Imported:
    root = top_level(path)
    settings, tasks = places_of(root)
    is_tuned = any(str(name).startswith(FINE_TUNED) for name in root["model"])
    if "encoder_embed_dim" not in settings and "encoder_layers" not in settings:
        raise FormatError(
            f"{path}: no settings of the encoder (encoder_layers and others) in cfg or args"
            f"{', as w2v_args' if is_tuned else ''}; give the pre-trained checkpoint"
        )
    _, stored, heads = weights_of(path, root["model"], FINE_TUNED if is_tuned else "")
    normalizes = bool(first_set(tasks, "normalize", False))
    config = fairseq_config(path, settings, normalizes=normalizes)
    return imported(path, FAIRSEQ.title, config, fairseq_names(stored), heads, states=STATES)


FAIRSEQ = Importer("checkpoint of fairseq (HuBERT or wav2vec 2.0)", _recognises, _read)
