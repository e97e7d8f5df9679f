"""Imports HuBERT and wav2vec 2.0 from a checkpoint that s3prl converted from fairseq.

The file holds `task_cfg`, `model_cfg` and `model_weight`.
Source: s3prl/upstream/hubert/convert.py.
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
    "the states are those of s3prl: the encoder's input after the positional convolution, and the "
    "output of every layer"
)


def _recognises(path: Path) -> bool:
    root = top_level(path)
    return bool(fields(root.get("model_cfg"))) and has_tensors(
        root.get("model_weight"), "feature_extractor.conv_layers.0.0.weight"
    )


def _read(path: Path) -> Imported:
    root = top_level(path)
    config = fairseq_config(path, fields(root["model_cfg"]), [fields(root.get("task_cfg"))])
    _, stored, _ = weights_of(path, root["model_weight"])
    return imported(path, S3PRL.title, config, fairseq_names(stored), states=STATES)


S3PRL = Importer("checkpoint converted by s3prl", _recognises, _read)
