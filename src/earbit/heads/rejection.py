"""Log odds of keywords in audio with and without one, and the threshold between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.runtime.likeliest import probability_of

LEVELS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Of generated noise; full scale is 1."""


@dataclass(slots=True)
class Heard:
    """Log odds of keywords in one part of the data; -inf where another label is likelier."""

    keywords: list[float] = field(default_factory=list)
    """Of the right keyword, by clip."""
    others: list[float] = field(default_factory=list)
    """Of any keyword in audio without one."""
    noise: list[float] = field(default_factory=list)
    """Of any keyword in generated silence and noise."""
    other_s: float = 0.0
    """Length of the audio without a keyword."""

    def threshold(self, n_allowed: int, noise: Sequence[float] = ()) -> float:
        """Log odds that let at most `n_allowed` others and no noise through.

        Half way to the next higher log odds, and at least 0, a probability of a half.
        """
        others = sorted(self.others, reverse=True)
        limit = max((0.0, *noise, *others[n_allowed : n_allowed + 1]))
        above = [odds for odds in (*self.keywords, *self.others) if odds > limit]
        return (limit + min(above)) / 2 if above else float(np.nextafter(limit, np.inf))

    def at(self, log_odds: float) -> dict[str, Any]:
        """The operating point of a threshold, for scores.json."""
        n_false = sum(odds >= log_odds for odds in self.others)
        missed = [odds < log_odds for odds in self.keywords]
        return {
            "log_odds": log_odds,
            "threshold": probability_of(log_odds),
            "false_accepts_per_hour": 3600 * n_false / self.other_s if self.other_s else None,
            "misses": float(np.mean(missed)) if missed else None,
            "noise_accepted": sum(odds >= log_odds for odds in self.noise),
        }

    def counts(self) -> dict[str, Any]:
        """Amounts of data, for scores.json."""
        hours = {"hours_without_keyword": self.other_s / 3600}
        return {"n_keywords": len(self.keywords), **hours, "n_noise": len(self.noise)}


def is_keyword(label: str) -> bool:
    """Whether a label is a keyword: others are written as `_unknown_` and `_silence_`."""
    return not (label.startswith("_") and label.endswith("_"))


def noises(n_samples: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Silence, white and brown noise and hum at several levels and lengths."""
    random = np.random.default_rng(seed)
    for n in (n_samples // 2, n_samples, 2 * n_samples):
        yield np.zeros(n, np.float32)
        for level in LEVELS:
            white = random.standard_normal(n)
            brown = np.cumsum(random.standard_normal(n))
            brown = (brown - brown.mean()) / brown.std()
            hum = np.sin(2 * np.pi * 50 * np.arange(n) / SAMPLE_RATE_HZ)
            for noise in (white, brown, hum):
                yield np.asarray(np.clip(level * noise, -1, 1), np.float32)
