"""`earbit export --format onnx`: an ONNX file for other engines, verified in ONNX Runtime.

The folder has the layout of transformers.js: onnx/model.onnx or, for quantized models,
onnx/model_quantized.onnx, with config.json, preprocessor_config.json and the files of a tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from earbit.config import type_name
from earbit.errors import ConfigError
from earbit.export.head import ModelHead, lower_head
from earbit.export.lower import lower_model
from earbit.frames import KERNELS, STRIDES
from earbit.hub.file_names import CARD, CONFIG, FAST_TOKENIZER, PREPROCESSOR, VOCABULARY
from earbit.hub.model_card import config_of, model_card
from earbit.hub.onnx.file import save
from earbit.hub.onnx.translate import AUDIO, MASK, onnx_model
from earbit.hub.out_folder import (
    ONNX,
    preprocessor,
    require_export_folder,
    write_json_files,
    written_whole,
)
from earbit.hub.source import Source, open_source
from earbit.hub.tokenizer import PROCESSOR, fast_tokenizer, tokenizer_files
from earbit.model import AudioModel
from earbit.nn.evaluation import evaluating
from earbit.progress import say
from earbit.quantize.convert import quantized_leaves_of
from earbit.quantize.student import noise_clips

FLOAT_FILE, QUANTIZED_FILE = "model.onnx", "model_quantized.onnx"
TOLERANCE = 1e-4
"""Relative tolerance of a float model, where only the order of sums differs."""
CLASSES = {
    None: ("hubert", "HubertModel"),
    "sequence": ("hubert", "HubertForCTC"),
    "class": ("hubert", "HubertForSequenceClassification"),
    "segments": ("wav2vec2", "Wav2Vec2ForAudioFrameClassification"),
    "vector": ("wavlm", "WavLMForXVector"),
}
"""Type and class in config.json by kind of head.  Loaders of ONNX files choose by them how outputs
are read; the graph holds the true encoder."""


def export_onnx(
    where: str,
    out: Path,
    *,
    plan: str | None = None,
    seed: int = 0,
    head: Path | None = None,
    settings: Sequence[str] = (),
    corpus: str | None = None,
) -> dict[str, Any]:
    """Writes a folder with an ONNX model and its configuration.

    Raises ConfigError for an unsuitable folder, UnsupportedError for a computation that programs
    do not have, and RuntimeError, a bug in earbit, if ONNX Runtime computes other values.
    """
    require_export_folder(out, ONNX)
    source = open_source(where, plan=plan, seed=seed, head=head, settings=settings, corpus=corpus)
    _require_same_model(out, source)
    is_quantized = bool(quantized_leaves_of(source.model))
    name = QUANTIZED_FILE if is_quantized else FLOAT_FILE
    with written_whole(out) as folder:
        file = folder / ONNX / name
        file.parent.mkdir()
        program = lower_model(source.model)
        if source.head is not None:
            lower_head(program, ModelHead(Path(source.where), source.head))
        save(onnx_model(program, {"earbit": json.dumps(config_of(source))}), file)
        agreement = verified(source, file)
        write_json_files(folder, _files(source))
        card = model_card(source, "onnx", _usage(out.name, name))
        (folder / CARD).write_text(card, encoding="utf-8")
    files = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    return {
        "folder": str(out),
        "class": f"{ONNX}/{name}",
        "because": None,
        "files": files,
        "bytes": sum(p.stat().st_size for p in (out / ONNX).glob(f"{name}*")),
        "agreement": agreement,
    }


def _require_same_model(out: Path, source: Source) -> None:
    """Raises ConfigError if the folder has files of other weights or another head.

    A folder may hold a float model and its quantized form, which share the other files.
    """
    if not (out / CONFIG).is_file():
        return
    try:
        held = json.loads((out / CONFIG).read_text(encoding="utf-8"))["earbit"]
    except (ValueError, KeyError, TypeError):
        held = {}
    mine = json.loads(json.dumps(config_of(source)))
    if held.get("head") != mine.get("head") or _digests(held).isdisjoint(_digests(mine)):
        raise ConfigError(
            f"{out}: holds another model; only the float and the quantized form of one model share "
            "a folder; give another --out"
        )


def _digests(described: Mapping[str, Any]) -> set[str]:
    """Digests of a model and of the models that `earbit quantize` made it from."""
    ancestors = (described.get("origin") or {}).get("ancestors", [])
    return {str(described.get("weights")), *map(str, ancestors)}


@torch.no_grad()
def verified(source: Source, file: Path) -> dict[str, float]:
    """Compares ONNX Runtime with PyTorch on seeded noise.

    Raises RuntimeError, a bug in earbit, if the outputs of a float model differ.
    """
    wave = noise_clips(1, n_clips=1)[0][None]
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    found = session.run(None, {AUDIO: wave, MASK: np.ones(wave.shape, np.int64)})[0]
    expected = _expected(source.model, source, torch.from_numpy(wave)).numpy()
    error = float(np.abs(found - expected).max())
    if not np.isfinite(found).all() or found.shape != expected.shape:
        raise RuntimeError(f"{file}: outputs are not those of the model")
    is_float = not quantized_leaves_of(source.model)
    if is_float and error > TOLERANCE * (1 + float(np.abs(expected).max())):
        raise RuntimeError(f"{file}: outputs differ from the model by {error:.2g}")
    norms = float(np.linalg.norm(found) * np.linalg.norm(expected))
    cosine = float(np.vdot(found, expected)) / norms if norms else 1.0
    if cosine < 0.99:
        say(
            f"{file.name}: output cosine {cosine:.3f} on noise; engines round sums in another "
            "order, which flips codes of few bits"
        )
    return {"max_abs_error": error, "cosine": cosine}


def _expected(model: AudioModel, source: Source, wave_BN: torch.Tensor) -> torch.Tensor:
    with evaluating(model):
        states: list[torch.Tensor] = model(wave_BN).states
    if source.head is None:
        last: torch.Tensor = states[-1]
        return last
    lengths = torch.tensor([states[0].shape[1]])
    scores: torch.Tensor = source.head.head(torch.stack(states), lengths)
    return scores


def _files(source: Source) -> dict[str, Any]:
    """Configuration, feature extractor and tokenizer."""
    head, encoder = source.head, source.model.config.encoder
    kind = None if head is None else head.task.kind
    model_type, architecture = CLASSES[kind]
    config: dict[str, Any] = {
        "model_type": model_type,
        "architectures": [architecture],
        "hidden_size": encoder.d_model,
        "num_hidden_layers": encoder.n_layers,
        "conv_kernel": list(KERNELS),
        "conv_stride": list(STRIDES),
        "earbit": {"encoder": type_name(type(encoder)), **config_of(source)},
    }
    files: dict[str, Any] = {CONFIG: config}
    # The graph normalizes the waveform itself where the model does.
    files[PREPROCESSOR] = preprocessor(normalizes=False, returns_mask=True)
    if head is not None and kind == "sequence":
        config |= {"vocab_size": len(head.outputs), "pad_token_id": 0}
        files |= tokenizer_files(head.outputs)
        files[PREPROCESSOR]["processor_class"] = PROCESSOR
        files[FAST_TOKENIZER] = fast_tokenizer(files[VOCABULARY])
    elif head is not None and kind != "vector":
        config["id2label"] = {str(i): name for i, name in enumerate(head.outputs)}
        config["label2id"] = {name: i for i, name in enumerate(head.outputs)}
    return files


def _usage(folder: str, name: str) -> list[str]:
    return [
        "import numpy as np",
        "import onnxruntime",
        "",
        f'session = onnxruntime.InferenceSession("{folder}/{ONNX}/{name}")',
        "audio = waveform[None]  # float32 (clips, samples), padded with zeros behind the clips",
        "mask = np.ones(audio.shape, np.int64)  # 0 at padding",
        f'output = session.run(None, {{"{AUDIO}": audio, "{MASK}": mask}})',
    ]
