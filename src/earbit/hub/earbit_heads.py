"""Heads in folders of earbit's classes for transformers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from earbit.errors import FormatError, shown
from earbit.heads.kinds.kind import Slots
from earbit.heads.kinds.sequence import BLANK
from earbit.hub.file_names import CONFIG, VOCABULARY
from earbit.hub.heads import ImportedHead
from earbit.hub.hugging_face_config import json_object
from earbit.hub.hugging_face_heads import labels_of
from earbit.hub.stored_tensors import Stored
from earbit.hub.tokenizer import DELIMITER, PAD, RENAMED
from earbit.progress import say
from earbit.superb.imported import CTC, IMPORTED, LABELS
from earbit.superb.task import Task

HEAD_PREFIX = "head."
"""Beginning of the names of the tensors of a head."""
D_HIDDEN = 256
"""Hidden width of a head where the folder has none."""


def head_in(
    folder: Path, described: Mapping[str, Any], stored: Stored, *, is_unchanged: bool
) -> ImportedHead | None:
    """The head of a folder; None without one, and for text without a vocabulary that fits.

    described: content of config.json.  is_unchanged: whether the encoder is the one that was
    exported.  A threshold of rejection is left out if it or the head was trained since.  Raises
    FormatError for values that do not fit.
    """
    tensors = {
        name.removeprefix(HEAD_PREFIX): tensor.read().float()
        for name, tensor in stored.items()
        if name.startswith(HEAD_PREFIX)
    }
    if not tensors:
        return None
    given = described.get("head") or {}
    if not isinstance(given, dict):
        raise FormatError(f"{folder / CONFIG}: head={shown(given)}; allowed: an object")
    is_text = "output.weight" in tensors and "ForCTC" in str(described.get("architectures"))
    task = _task(folder, given, is_text)
    n_outputs = len(tensors.get("output.bias", ()))
    if is_text:
        symbols = _symbols(folder, n_outputs)
        if symbols is None:
            return None
        slots: Slots = (symbols,)
    else:
        slots = (tuple(labels_of(folder, described, n_outputs)),)
    least = given.get("min_log_odds")
    is_unchanged = is_unchanged and given.get("digest") == head_digest(tensors)
    if least is not None and not is_unchanged:
        say(
            f"{folder}: its weights have changed since the export, so its threshold of rejection "
            "is left out; earbit superb finds one for a new head"
        )
        least = None
    d_hidden = given.get("d_hidden", D_HIDDEN)
    if not isinstance(d_hidden, int) or not isinstance(least, (int, float, type(None))):
        raise FormatError(
            f"{folder / CONFIG}: head.d_hidden={shown(d_hidden)}, "
            f"head.min_log_odds={shown(least)}; allowed: numbers"
        )
    return ImportedHead(
        task, slots, tensors, d_hidden, min_log_odds=None if least is None else float(least)
    )


def _task(folder: Path, given: Mapping[str, Any], is_text: bool) -> Task:
    """The task of an imported head with this network."""
    kind, default = (CTC.kind, CTC.head) if is_text else (LABELS.kind, LABELS.head)
    network = given.get("network", default)
    for task in IMPORTED.values():
        if (task.kind, task.head) == (kind, network):
            return task
    raise FormatError(
        f"{folder / CONFIG}: head.network={shown(network)}; heads of kind {kind} that can be "
        f"imported: {', '.join(t.head for t in IMPORTED.values() if t.kind == kind)}"
    )


def head_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the tensors of a head, in float32."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _symbols(folder: Path, n_outputs: int) -> tuple[str, ...] | None:
    """Names of the outputs of a head for text; None, with a line, where no vocabulary fits."""
    path = folder / VOCABULARY
    if not path.is_file():
        say(
            f"{folder}: no {VOCABULARY}, so the head for text has no symbols and is left out; "
            "copy it from the folder that the training started from, and import again"
        )
        return None
    tokens = {index: token for token, index in json_object(path).items() if isinstance(index, int)}
    if tokens.keys() != set(range(n_outputs)) or tokens[0] != PAD:
        say(
            f"{path}: needed is one token for each of the {n_outputs} outputs of the head, the "
            f"first {PAD}; the head for text is left out"
        )
        return None
    names = {token: symbol for symbol, token in RENAMED.items()}
    symbols = (tokens[i] for i in range(1, n_outputs))
    return (BLANK, *(" " if token == DELIMITER else names.get(token, token) for token in symbols))
