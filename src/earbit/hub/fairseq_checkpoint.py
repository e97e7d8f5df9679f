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
from earbit.hub.heads import ImportedHead, UnusableHead, ctc_head
from earbit.hub.importer import Imported, Importer
from earbit.hub.stored_tensors import Stored
from earbit.model import ModelConfig
from earbit.progress import say

FINE_TUNED = "w2v_encoder.w2v_model."
PROJECTION = ("w2v_encoder.proj.weight", "w2v_encoder.proj.bias")
PHONES = "phn"
"""Suffix of label files with phones, which the setting `labels` names; letters have `ltr`."""
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
    config = fairseq_config(path, settings, tasks)
    # Of the fine-tuning; the tasks behind these two are those of the pre-training.
    labels = first_set(tasks[:2], "labels", None)
    head = _head(path, root, heads, config, are_phones=labels == PHONES)
    taken = PROJECTION if head is not None else ()
    others = [name for name in heads if name not in taken]
    return imported(
        path, FAIRSEQ.title, config, fairseq_names(stored), others, states=STATES, head=head
    )


def _head(
    path: Path, root: dict[Any, Any], heads: Stored, config: ModelConfig, *, are_phones: bool
) -> ImportedHead | None:
    """The CTC head of a fine-tuned model, if the file has its dictionary of letters or phones."""
    dictionary = fields(fields(root.get("task_state")).get("target_dictionary"))
    symbols = dictionary.get("symbols")
    if not all(name in heads for name in PROJECTION) or not isinstance(symbols, list):
        return None
    weight, bias = (heads[name].read().float() for name in PROJECTION)
    shape = (len(symbols), config.encoder.d_model)
    if weight.shape != shape or bias.shape != shape[:1] or not all(map(_is_text, symbols)):
        return None
    try:
        return ctc_head(
            weight,
            bias,
            symbols,
            blank=0,  # the beginning of a sentence in fairseq
            delimiter="|",
            are_phones=are_phones,
            n_states=config.encoder.n_layers + 1,
        )
    except UnusableHead as error:
        say(f"{path}: {error}; the head is left out")
        return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


FAIRSEQ = Importer("checkpoint of fairseq (HuBERT or wav2vec 2.0)", _recognises, _read)
