"""Model to export to another format, with its metadata."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earbit.errors import FormatError
from earbit.export.prepared_model import prepared_model
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.model_file import origin_of
from earbit.model_names import model_path
from earbit.presets import PRESETS
from earbit.progress import say
from earbit.superb.head_file import TrainedHead
from earbit.superb.task import SCORES_NAME

SCORE_AGAIN = "give the `earbit superb` command again"


@dataclass(frozen=True, slots=True)
class Source:
    """A model with its head and provenance."""

    where: str
    """Preset, or path of the model."""
    model: AudioModel
    """In evaluation mode, quantized if a plan was given."""
    head: TrainedHead | None
    origin: dict[str, Any]
    """Provenance from the model file; `preset` and `seed` of a preset."""
    scores: dict[str, Any] | None
    """Content of scores.json beside the head."""
    weights: str
    """`weights_digest` of the model before the plan."""

    @property
    def name(self) -> str:
        """Name without folders."""
        return Path(self.where).resolve().name


def open_source(
    where: str,
    *,
    plan: str | None = None,
    seed: int = 0,
    head: Path | None = None,
    settings: Sequence[str] = (),
    corpus: str | None = None,
) -> Source:
    """Opens a model as `earbit export` does, and says which parts are left out.

    Raises the errors of `prepared_model`, and FormatError for a damaged scores.json.
    """
    prepared = prepared_model(
        where, plan=plan, seed=seed, head=head, settings=settings, corpus=corpus
    )
    model, packed = prepared.model, prepared.head
    weights = weights_digest(prepared.given)  # before its head is left out
    if where in PRESETS:
        origin: dict[str, Any] = {"stage": "random weights", "preset": where, "seed": seed}
    else:
        origin = origin_of(model_path(where))
    if plan is not None:
        ancestors = [*origin.get("ancestors", []), weights]
        origin = origin | {"plan": plan, "calibration": corpus or "noise", "ancestors": ancestors}
    if model.head is not None:
        say(f"{where}: the head for units, which only pre-training reads, is left out")
        model.head = None
    scores = None
    if head is not None and head.is_dir() and (head / SCORES_NAME).is_file():
        scores = _scores_in(head / SCORES_NAME)
    trained = None if packed is None else packed.trained
    if trained is not None and trained.min_log_odds is not None:
        say(
            f"{head}: other programs do not reject labels below log odds of "
            f"{trained.min_log_odds:.3g}; config.json records it"
        )
    return Source(where, model, trained, _without_folders(origin), scores, weights)


def _without_folders(value: Any) -> Any:
    """A JSON value whose absolute paths are names, since an export may be published."""
    if isinstance(value, dict):
        return {name: _without_folders(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    is_path = isinstance(value, str) and value.startswith("/")
    return Path(value).name if is_path else value


def _scores_in(path: Path) -> dict[str, Any] | None:
    """Metric, value and more; None for an empty object.  Raises FormatError for a damaged file."""
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: cannot be read ({error}); {SCORE_AGAIN}") from error
    if scores == {}:
        return None
    if (
        not isinstance(scores, dict)
        or not isinstance(scores.get("metric"), str)
        or not isinstance(scores.get("value"), (int, float))
    ):
        raise FormatError(
            f"{path}: no metric with a number as its value; allowed: what `earbit superb` writes; "
            f"{SCORE_AGAIN}"
        )
    return scores
