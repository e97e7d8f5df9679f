"""Imports DistilHuBERT from the checkpoint of s3prl: settings in `Config`, tensors in `Distiller`.

The student has no layer norm before its projection.  Source: s3prl/upstream/distiller/model.py.
"""

from __future__ import annotations

from pathlib import Path

from earbit.errors import UnsupportedError, shown
from earbit.hub.checkpoint import (
    fairseq_names,
    fields,
    has_tensors,
    imported,
    top_level,
    weights_of,
)
from earbit.hub.fairseq_config import fairseq_config
from earbit.hub.hugging_face_config import NOT_IMPORTED
from earbit.hub.importer import Imported, Importer

# How the student knows which teacher layer it predicts, where this does not change the encoder.
EMBEDDINGS = ("expand-last", "self-hidden", "none", "concat-last")
STATES = (
    "the states are the encoder's input after the positional convolution, and the output of every "
    "layer; the list of s3prl begins before the positional convolution and ends with predictions "
    "of teacher layers"
)


def _recognises(path: Path) -> bool:
    root = top_level(path)
    return "distiller" in fields(root.get("Config")) and has_tensors(
        root.get("Distiller"), "feature_extractor.conv_layers.0.0.weight"
    )


def _read(path: Path) -> Imported:
    root = top_level(path)
    settings = {"encoder_layers": 1} | fields(fields(root["Config"])["distiller"])
    kind = settings.get("task_emb_type", "expand-last")
    if kind not in EMBEDDINGS:
        raise UnsupportedError(
            f"{path}: task_emb_type={shown(kind)}; allowed: {', '.join(EMBEDDINGS)}; {NOT_IMPORTED}"
        )
    # Its front end never has biases, and its teacher's audio is not normalised.
    settings["conv_bias"] = False
    config = fairseq_config(path, settings, (), has_feature_norm=False)
    _, stored, _ = weights_of(path, root["Distiller"])
    return imported(path, DISTILLER.title, config, fairseq_names(stored), states=STATES)


DISTILLER = Importer("checkpoint of DistilHuBERT (s3prl)", _recognises, _read)
