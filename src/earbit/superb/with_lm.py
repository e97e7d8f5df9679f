"""Decodes speech recognition with a language model, a score beside that of greedy decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earbit.audio.splits import Splits
from earbit.heads.beam_search import BeamSearch
from earbit.heads.cases import Cases
from earbit.heads.example import Example
from earbit.heads.kinds.table import KINDS
from earbit.heads.language_model import LanguageModel
from earbit.heads.metrics import METRICS
from earbit.superb.head_file import TrainedHead
from earbit.superb.training import outputs_by_clip
from earbit.upstream.features import FrozenFeatures

N_SELECTING = 100
"""Maximum number of validation clips that select settings."""


def cases_with_lm(
    trained: TrainedHead, features: FrozenFeatures, splits: Splits[Example], model: LanguageModel
) -> tuple[Cases, dict[str, Any]]:
    """Texts of the test clips and their references, and the settings, for scores.json."""
    searches = model.searches()
    values: list[float] = []
    if len(searches) > 1:
        of_valid = _cases(trained, features, splits.valid[:N_SELECTING], searches)
        values = [METRICS[trained.task.metrics[0]].of(cases) for cases in of_valid]
    best = searches[values.index(min(values)) if values else 0]
    (cases,) = _cases(trained, features, splits.test, [best])
    return cases, {
        "lm": model.name,
        "lm_digest": model.digest,
        "n_beams": model.n_beams,
        "lm_weight": best.lm_weight,
        "word_score": best.word_score,
        "n_settings": len(searches),
    }


def is_scored_with(score: Mapping[str, Any], model: LanguageModel | None) -> bool:
    """Whether a score has that of decoding with this language model, if it has words."""
    if model is None or "wer" not in score["metrics"]:
        return True
    found = score.get("with_lm")
    return found is not None and (
        found["lm_digest"] == model.digest
        and found["n_beams"] == model.n_beams
        and found["n_settings"] == len(model.settings)
        and (found["lm_weight"], found["word_score"]) in {tuple(pair) for pair in model.settings}
    )


def _cases(
    trained: TrainedHead,
    features: FrozenFeatures,
    examples: Sequence[Example],
    searches: Sequence[BeamSearch],
) -> list[Cases]:
    """Texts of clips with each search, and their references."""
    (names,) = trained.slots
    found: list[dict[str, Any]] = [{} for _ in searches]
    for clip_id, outputs_TC in outputs_by_clip(trained.head, features, examples):
        log_TC = outputs_TC.log_softmax(-1).numpy()
        for of_search, search in zip(found, searches, strict=True):
            of_search[clip_id] = search.symbols(log_TC, names)
    return [KINDS[trained.task.kind].cases(examples, of_search, ()) for of_search in found]
