"""Heads in Hugging Face folders: CTC with its vocabulary, and sequence classification."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from earbit.errors import FormatError, shown
from earbit.hub.file_names import CONFIG
from earbit.hub.heads import ImportedHead, UnusableHead, class_head, ctc_head, last_state
from earbit.hub.hugging_face_vocabulary import vocabulary_of
from earbit.hub.stored_tensors import Stored
from earbit.model import ModelConfig
from earbit.progress import say

MAX_OUTPUTS = 2**16
_CLASSES_WITH_HEADS = ("ForCTC", "ForSequenceClassification")
"""Parts of the names of classes.  Heads of other classes have tensors of the same names."""
_CTC = ("lm_head.weight", "lm_head.bias")
_CLASSES = ("projector.weight", "projector.bias", "classifier.weight", "classifier.bias")


def head_of(
    folder: Path, described: Mapping[str, Any], stored: Stored, config: ModelConfig
) -> tuple[ImportedHead | None, list[str]]:
    """The head of a folder, and the names of the tensors that it takes; None for no known head.

    None, with a line that says why, for a head that earbit cannot take.

    described: content of config.json;  stored: tensors outside of the base model.
    """
    other = _other_class(described)
    if stored and other is not None:
        say(
            f"{folder / CONFIG}: architectures={shown(other)}, whose head is left out; heads that "
            f"can be imported: {', '.join(_CLASSES_WITH_HEADS)}"
        )
        return None, []
    if all(name in stored for name in _CTC):
        kind = _ctc
    elif all(name in stored for name in _CLASSES):
        kind = _classes
    else:
        return None, []
    try:
        return kind(folder, described, stored, config)
    except UnusableHead as error:
        say(f"{folder}: {error}; the head is left out")
        return None, []


def _other_class(described: Mapping[str, Any]) -> Any:
    """The class in `architectures` if its head cannot be imported; None if it can or is unknown."""
    named = described.get("architectures")
    name = named[0] if isinstance(named, list) and named else named
    if name is None or any(kind in str(name) for kind in _CLASSES_WITH_HEADS):
        return None
    return name


def _ctc(
    folder: Path, described: Mapping[str, Any], stored: Stored, config: ModelConfig
) -> tuple[ImportedHead, list[str]]:
    weight, bias = _linear(folder, stored, _CTC, config.encoder.d_model)
    n_outputs = len(weight)
    blank = described.get("pad_token_id", 0)
    if not isinstance(blank, int) or not 0 <= blank < n_outputs:
        raise UnusableHead(
            f"pad_token_id={shown(blank)} in {CONFIG}, the blank; allowed: 0 to {n_outputs - 1}"
        )
    vocabulary = vocabulary_of(folder, described, n_outputs)
    head = ctc_head(
        weight,
        bias,
        vocabulary.symbols,
        blank=blank,
        delimiter=vocabulary.delimiter,
        are_phones=vocabulary.are_phones,
        n_states=config.encoder.n_layers + 1,
    )
    return head, list(_CTC)


def _classes(
    folder: Path, described: Mapping[str, Any], stored: Stored, config: ModelConfig
) -> tuple[ImportedHead, list[str]]:
    projector = _linear(folder, stored, _CLASSES[:2], config.encoder.d_model)
    classifier = _linear(folder, stored, _CLASSES[2:], len(projector[0]))
    n_states = config.encoder.n_layers + 1
    labels = labels_of(folder, described, len(classifier[0]))
    logits, taken = last_state(n_states), list(_CLASSES)
    if described.get("use_weighted_layer_sum"):
        _require_normed_last_state(described)
        logits = _read(folder, stored, "layer_weights")
        taken.append("layer_weights")
        if logits.shape != (n_states,):
            raise FormatError(
                f"{folder}: layer_weights of shape {tuple(logits.shape)} for {n_states} states"
            )
    return class_head(projector, classifier, labels, logits_L=logits), taken


def _require_normed_last_state(described: Mapping[str, Any]) -> None:
    """Raises UnusableHead for a weighted sum that was trained with another last state than ours.

    Before version 5, transformers listed the last state of a pre-norm model behind its last norm.
    """
    version = str(described.get("transformers_version", ""))
    first = version.partition(".")[0]
    if described.get("do_stable_layer_norm") and first.isdecimal() and int(first) >= 5:
        raise UnusableHead(
            f"transformers_version={shown(version)} in {CONFIG} has a weighted sum with the last "
            "state before its norm, and earbit has the one behind it; allowed: models without "
            "use_weighted_layer_sum or do_stable_layer_norm, or trained before version 5"
        )


def labels_of(folder: Path, described: Mapping[str, Any], n_outputs: int) -> list[str]:
    """Names of the classes in config.json, LABEL_i where there is none."""
    names = described.get("id2label") or {}
    if not isinstance(names, dict):
        raise FormatError(f"{folder / CONFIG}: id2label={shown(names)}; allowed: names by number")
    return [str(names.get(str(i), f"LABEL_{i}")) for i in range(n_outputs)]


def _linear(
    folder: Path, stored: Stored, names: tuple[str, ...], n_inputs: int
) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer; raises FormatError for other shapes."""
    weight, bias = (_read(folder, stored, name) for name in names)
    if weight.ndim != 2 or weight.shape[1] != n_inputs or bias.shape != weight.shape[:1]:
        raise FormatError(
            f"{folder}: {names[0]} of shape {tuple(weight.shape)} and {names[1]} of shape "
            f"{tuple(bias.shape)}; allowed: (outputs, {n_inputs}) and (outputs,); the head belongs "
            "to another model"
        )
    if len(weight) == 0:
        raise FormatError(f"{folder}: {names[0]} has no outputs; download the folder again")
    return weight, bias


def _read(folder: Path, stored: Stored, name: str) -> Tensor:
    if name not in stored:
        raise FormatError(f"{folder}: 1 tensors missing: {name}; download the folder again")
    if not stored[name].is_floating:
        raise FormatError(f"{folder}: {name} of integers; allowed: floats (a quantized model?)")
    if max(stored[name].shape, default=0) > MAX_OUTPUTS:
        raise UnusableHead(f"{name} of shape {stored[name].shape}; allowed: {MAX_OUTPUTS} outputs")
    return stored[name].read().float()
