"""`earbit export --format hf`: a folder that transformers opens, verified against PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel
from transformers.utils import logging

from earbit.errors import UnsupportedError
from earbit.hub.earbit_folder import WEIGHTS
from earbit.hub.earbit_heads import head_digest
from earbit.hub.file_names import CARD, PREPROCESSOR
from earbit.hub.hf.configuration import EarbitConfig
from earbit.hub.hf.hubert import as_hubert, why_not_hubert
from earbit.hub.hf.models import EarbitForAudioClassification, EarbitForCTC, EarbitModel
from earbit.hub.hugging_face_config import WAVEFORM_EPS
from earbit.hub.model_card import model_card
from earbit.hub.out_folder import (
    preprocessor,
    require_export_folder,
    write_json_files,
    written_whole,
)
from earbit.hub.source import Source, open_source
from earbit.hub.tokenizer import PROCESSOR, tokenizer_files
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.model_names import MODEL_FILE_NAME
from earbit.nn.evaluation import evaluating
from earbit.nn.front_end import FrontEndConfig
from earbit.progress import say
from earbit.quantize.student import noise_clips
from earbit.superb.head_file import TrainedHead

CLASSES = {"sequence": EarbitForCTC, "class": EarbitForAudioClassification}
"""Classes with a head by kind of output."""
TOLERANCE = 1e-4
"""Relative tolerance of outputs, where only the order of sums differs."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A model as a class of transformers."""

    model: PreTrainedModel
    because: str | None
    """Why it has no class of HuBERT; None if it has one."""


def export_hf(
    where: str,
    out: Path,
    *,
    plan: str | None = None,
    seed: int = 0,
    head: Path | None = None,
    settings: Sequence[str] = (),
    corpus: str | None = None,
) -> dict[str, Any]:
    """Writes a folder for `from_pretrained` of transformers, with a model card.

    HuBERT models in float are `HubertModel` or `HubertForCTC`, all others the classes of
    `earbit.hub.hf`.  Raises ConfigError for an unsuitable folder, UnsupportedError for a head
    without a class, and RuntimeError, a bug in earbit, if the saved model computes other values.
    """
    require_export_folder(out, MODEL_FILE_NAME)
    source = open_source(where, plan=plan, seed=seed, head=head, settings=settings, corpus=corpus)
    exported = as_transformers(source)
    theirs = exported.model
    is_hubert = exported.because is None
    config = source.model.config
    if is_hubert and config.normalize_waveform and config.waveform_eps != WAVEFORM_EPS:
        say(
            f"{where}: adds {config.waveform_eps:g} to the variance of the waveform, the feature "
            f"extractor of transformers {WAVEFORM_EPS:g}; states differ for audio below -30 dB"
        )
    files = {
        # Models of earbit normalize the waveform themselves.  HuBERT Base was trained without a
        # mask, so transformers advises against one.
        PREPROCESSOR: preprocessor(
            normalizes=is_hubert and config.normalize_waveform,
            returns_mask=not is_hubert
            or isinstance(config.front_end, FrontEndConfig)
            and config.front_end.norm == "layer",
        )
    }
    if source.head is not None and source.head.task.kind == "sequence":
        files |= tokenizer_files(source.head.outputs)
        files[PREPROCESSOR]["processor_class"] = PROCESSOR
    with written_whole(out) as folder, _without_bars():
        theirs.save_pretrained(folder)
        write_json_files(folder, files)
        card = model_card(source, "transformers", usage_of(theirs, out.name))
        (folder / CARD).write_text(card, encoding="utf-8")
        agreement = verified(source, type(theirs).from_pretrained(folder).eval())
    names = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    return {
        "folder": str(out),
        "class": type(theirs).__name__,
        "because": exported.because,
        "files": names,
        "bytes": sum((out / name).stat().st_size for name in names if (out / name).is_file()),
        "agreement": agreement,
    }


@contextmanager
def _without_bars() -> Iterator[None]:
    """Context without the progress bars of transformers, which show for every file."""
    was_shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_shown:
            logging.enable_progress_bar()


def as_transformers(source: Source) -> Exported:
    """The class of transformers that holds a model with its head, with its weights."""
    model, head = source.model, source.head
    because = why_not_hubert(model, head)
    if because is None:
        return Exported(as_hubert(model, head), None)
    origin = source.origin | {WEIGHTS: weights_digest(model)}
    if head is None:
        theirs: PreTrainedModel = EarbitModel(EarbitConfig.of(model, origin=origin))
        theirs.network.load_state_dict(model.state_dict())
        return Exported(theirs.eval(), because)
    theirs = _with_head(model, head, origin)
    theirs.earbit.network.load_state_dict(model.state_dict())
    theirs.head.load_state_dict(head.head.state_dict())
    return Exported(theirs.eval(), because)


def _with_head(model: AudioModel, head: TrainedHead, origin: dict[str, Any]) -> PreTrainedModel:
    kind = head.task.kind
    if kind not in CLASSES or len(head.slots) > 1:
        what = f"{len(head.slots)} classes at once" if len(head.slots) > 1 else f"kind {kind!r}"
        raise UnsupportedError(
            f"a head of task {head.task.name} gives {what}; transformers gets heads of kind "
            f"{' or '.join(CLASSES)} with one class per clip; use --format onnx or program"
        )
    shape = head.head.shape
    labels: dict[str, Any] = {}
    if kind == "class":
        labels["id2label"] = dict(enumerate(head.outputs))
        labels["label2id"] = {name: i for i, name in enumerate(head.outputs)}
    config = EarbitConfig.of(
        model,
        head={
            "network": head.task.head,
            "task": head.task.name,
            "n_outputs": shape.n_outputs,
            "d_hidden": shape.d_hidden,
            "min_log_odds": head.min_log_odds,
            "digest": head_digest(head.head.state_dict()),
        },
        origin=origin,
        **labels,
    )
    return CLASSES[kind](config)


@torch.no_grad()
def verified(source: Source, theirs: PreTrainedModel) -> dict[str, float]:
    """Largest differences of hidden states and scores on seeded noise.

    Raises RuntimeError, a bug in earbit, for values that differ.
    """
    wave = torch.from_numpy(noise_clips(1, n_clips=1)[0])[None]
    with evaluating(source.model):
        states = source.model(wave).states
    read = wave
    if source.model.config.normalize_waveform and not isinstance(theirs.config, EarbitConfig):
        eps = source.model.config.waveform_eps
        read = torch.nn.functional.layer_norm(wave, wave.shape[-1:], eps=eps)
    output = theirs(read, output_hidden_states=True)
    found = [*output.hidden_states]
    if output.get("last_hidden_state") is not None:
        # transformers 5 lists the last state of a pre-norm encoder without the norm behind it.
        found[-1] = output.last_hidden_state
    else:
        found, states = found[:-1], states[:-1]
    errors = {"max_abs_error": _largest(found, states)}
    if source.head is not None:
        lengths = torch.tensor([states[0].shape[1]])
        with evaluating(source.model):
            expected = source.head.head(torch.stack(source.model(wave).states), lengths)
        errors["max_abs_error_of_scores"] = _largest([output.logits], [expected])
    return errors


def _largest(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    pairs = [(a.numpy(), b.numpy()) for a, b in zip(found, expected, strict=True)]
    for a, b in pairs:
        if not np.allclose(a, b, rtol=0, atol=TOLERANCE * (1 + float(np.abs(b).max()))):
            raise RuntimeError("the saved model computes other values than the model")
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def usage_of(theirs: PreTrainedModel, folder: str) -> list[str]:
    """Lines of Python that load a folder."""
    kind = type(theirs).__name__
    if isinstance(theirs.config, EarbitConfig):
        first = ["import earbit.hub.hf  # registers the classes"]
        auto = {"EarbitForCTC": "AutoModelForCTC"}.get(kind, "AutoModel")
        if kind == "EarbitForAudioClassification":
            auto = "AutoModelForAudioClassification"
    else:
        first, auto = [], kind
    return [
        *first,
        f"from transformers import AutoFeatureExtractor, {auto}",
        "",
        f'extractor = AutoFeatureExtractor.from_pretrained("{folder}")',
        f'model = {auto}.from_pretrained("{folder}")',
        'inputs = extractor(waveform, sampling_rate=16_000, return_tensors="pt")',
        "output = model(**inputs)",
    ]
