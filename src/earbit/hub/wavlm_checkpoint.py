"""Imports WavLM from the checkpoint of its authors: settings in `cfg`, tensors in `model`.

Source: microsoft/unilm, wavlm/WavLM.py.
"""

from __future__ import annotations

from pathlib import Path

from earbit.hub.checkpoint import (
    fairseq_names,
    fields,
    has_tensors,
    imported,
    top_level,
    weights_of,
)
from earbit.hub.fairseq_config import fairseq_config
from earbit.hub.importer import Imported, Importer

STATES = (
    "state k is what extract_features(output_layer=k) of WavLM returns, and the last state is "
    "normed in pre-norm models"
)


def _recognises(path: Path) -> bool:
    root = top_level(path)
    return "relative_position_embedding" in fields(root.get("cfg")) and has_tensors(
        root.get("model"), "feature_extractor.conv_layers.0.0.weight"
    )


def _read(path: Path) -> Imported:
    root = top_level(path)
    settings = fields(root["cfg"])
    config = fairseq_config(path, settings, [settings])
    _, stored, _ = weights_of(path, root["model"])
    return imported(path, WAVLM.title, config, fairseq_names(stored), states=STATES)


WAVLM = Importer("checkpoint of WavLM", _recognises, _read)
