"""README.md of an exported model, from the facts at hand; unknown facts are listed as unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import earbit
from earbit.config import to_dict, type_name
from earbit.frames import FRAME_RATE_HZ
from earbit.hub.source import Source
from earbit.quantize.convert import precisions_of

Library = Literal["transformers", "onnx"]
TASK_TAGS = {"sequence": "automatic-speech-recognition", "class": "audio-classification"}
"""Tags of a pipeline by kind of output."""
UNKNOWN = ("licence", "languages and speakers of the training data", "biases and limitations")
"""Facts that no file of earbit records."""
MAX_LABELS = 12


def model_card(source: Source, library: Library, usage: Sequence[str]) -> str:
    """Text of the card; usage: lines of Python that load the model."""
    kind = None if source.head is None else source.head.task.kind
    lines = [
        "---",
        f"library_name: {library}",
        f"pipeline_tag: {TASK_TAGS.get(kind or '', 'feature-extraction')}",
        "tags: [earbit, speech, audio]",
        "---",
        f"# {source.name}",
        "",
        f"Speech model, exported by earbit {earbit.__version__}. "
        "Its input is mono audio at 16 kHz, float32 between -1 and 1, 25 ms or longer.",
        "",
        "| fact | value |",
        "|---|---|",
        *(f"| {name} | {_cell(value)} |" for name, value in facts(source).items()),
        "",
        f"Not recorded: {'; '.join((*UNKNOWN, *_missing(source)))}.",
        "",
        "```python",
        *usage,
        "```",
        "",
    ]
    return "\n".join(lines)


def facts(source: Source) -> dict[str, str]:
    """Known facts by name, in the order of the card."""
    model, origin = source.model, source.origin
    config = model.config
    precisions = sorted({str(p) for p in precisions_of(model).values()})
    known = {
        "encoder": f"{type_name(type(config.encoder))}, {config.encoder.n_layers} layers of "
        f"width {config.encoder.d_model}",
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "frames per second": str(FRAME_RATE_HZ),
        "precision of products": ", ".join(precisions).replace("w32a32", "float32"),
        "waveform": f"normalized, {config.waveform_eps:g} added to its variance"
        if config.normalize_waveform
        else "as it is",
    }
    recipe = origin.get("recipe", {})
    given = {
        "stage of training": origin.get("stage"),
        "plan": origin.get("plan"),
        "calibration": origin.get("calibration"),
        "preset": origin.get("preset"),
        "seed": origin.get("seed", recipe.get("seed")),
        "corpus": recipe.get("corpus"),
        "digest of the corpus": origin.get("corpus"),
        "digest of the units": origin.get("kmeans"),
        "steps": recipe.get("train", {}).get("optimiser", {}).get("n_steps"),
        "imported from": origin.get("source"),
        "name of the source": origin.get("name"),
        "SHA-256 of the source": origin.get("sha256"),
    }
    known |= {name: str(value) for name, value in given.items() if value is not None}
    return known | _facts_of_head(source)


def config_of(source: Source) -> dict[str, Any]:
    """Configuration, precisions, digest and head of a model, for config.json of another format."""
    head = source.head
    values: dict[str, Any] = {
        "version": earbit.__version__,
        "model": to_dict(source.model.config),
        "precisions": sorted({str(p) for p in precisions_of(source.model).values()}),
        "origin": source.origin,
        "weights": source.weights,
    }
    if head is not None:
        values["head"] = {
            "task": head.task.name,
            "kind": head.task.kind,
            "slots": [len(slot) for slot in head.slots],
            "min_log_odds": head.min_log_odds,
        }
    return values


def _facts_of_head(source: Source) -> dict[str, str]:
    if source.head is None:
        return {}
    head = source.head
    known = {"task": head.task.title}
    if head.task.kind != "vector":
        labels = head.outputs[:MAX_LABELS]
        more = (
            f" and {len(head.outputs) - MAX_LABELS} more" if len(head.outputs) > MAX_LABELS else ""
        )
        known["outputs"] = ", ".join(map(repr, labels)) + more
    scores = source.scores
    if scores is not None:
        interval = scores.get("interval")
        within = "" if interval is None else f", 95 % interval {interval}"
        known["score"] = (
            f"{scores['metric']} {scores['value']:.4g} on {scores.get('n_test', '?')} test "
            f"clips{within}"
        )
        known["digest of the task's corpus"] = str(scores.get("corpus_digest", "unknown"))
    return known


def _missing(source: Source) -> list[str]:
    missing = []
    if "corpus" not in source.origin and source.origin.get("stage") != "random weights":
        missing.append("training data of the encoder")
    if source.head is None or source.scores is None:
        missing.append("scores")
    return missing


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
