"""Decodes speech recognition with a language model, a score beside that of greedy decoding."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from earbit.audio.splits import Splits
from earbit.errors import ConfigError
from earbit.heads.beam_search import BeamSearch
from earbit.heads.cases import Cases
from earbit.heads.example import Example
from earbit.heads.kinds.table import KINDS
from earbit.heads.ngram import NGram, read_arpa
from earbit.superb.features import FrozenFeatures
from earbit.superb.head_file import TrainedHead
from earbit.superb.metrics import METRICS
from earbit.superb.training import outputs_by_clip

N_BEAMS = 20
SETTINGS = tuple(product((0.3, 0.6, 0.9, 1.2), (-1.0, 0.0, 1.0)))
"""Weights of the language model and scores of a word that the validation clips select from."""
N_SELECTING = 100
"""Maximum number of validation clips for that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageModel:
    """A language model and how it is used."""

    lm: NGram
    name: str
    digest: str
    n_beams: int = N_BEAMS
    settings: Sequence[tuple[float, float]] = SETTINGS
    """Weights of the model and scores of a word; the validation clips select one."""

    def searches(self) -> list[BeamSearch]:
        """A search for every setting."""
        return [
            BeamSearch(lm=self.lm, n_beams=self.n_beams, lm_weight=weight, word_score=score)
            for weight, score in self.settings
        ]


def open_language_model(
    path: Path | None, n_beams: int = N_BEAMS, weights: Sequence[float] = ()
) -> LanguageModel | None:
    """Reads an ARPA file; None without one.

    weights: of the model, and the score of each word; selected by default.  Raises ConfigError for
    invalid settings, and what `read_arpa` raises.
    """
    if path is None:
        if n_beams != N_BEAMS or weights:
            raise ConfigError("--beam and --lm-weights need a language model; give --lm FILE.arpa")
        return None
    if n_beams < 1:
        raise ConfigError(f"--beam {n_beams}; allowed are whole numbers from 1")
    if len(weights) not in (0, 2) or not all(map(math.isfinite, weights)):
        raise ConfigError(
            f"--lm-weights {' '.join(map(str, weights))}; give the weight of the language model "
            "and the score of each word, for example 0.87 -1"
        )
    lm = read_arpa(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return LanguageModel(
        lm=lm,
        name=path.name,
        digest=digest,
        n_beams=n_beams,
        settings=[(weights[0], weights[1])] if weights else SETTINGS,
    )


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
