"""A language model and the settings of a beam search with it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from earbit.errors import ConfigError
from earbit.heads.beam_search import BeamSearch
from earbit.heads.ngram import NGram, read_arpa

N_BEAMS = 20
SETTINGS = tuple(product((0.3, 0.6, 0.9, 1.2), (-1.0, 0.0, 1.0)))
"""Weights of the language model and scores of a word that the validation clips select from."""


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
    path: Path | None, n_beams: int | None = None, weights: Sequence[float] = ()
) -> LanguageModel | None:
    """Reads an ARPA file; None without one.

    weights: of the model, and the score of each word; selected by default.  Raises ConfigError for
    invalid settings, and what `read_arpa` raises.
    """
    if path is None:
        if n_beams is not None or weights:
            raise ConfigError("--beam and --lm-weights need a language model; give --lm FILE.arpa")
        return None
    n_beams = N_BEAMS if n_beams is None else n_beams
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
