"""Audio without a keyword: generated noise, and windows of speech by its text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.audio.corpus import Corpus
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.splits import NAMES
from earbit.errors import DataError

LOG_LEVELS = (-4.5, -0.5)
"""Range of the level of generated noise, as a power of ten; full scale is 1."""


def noises(n_samples: int, n_clips: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Three clips of silence, then hum and noise between white and brown at random levels.

    Clips have half, all and twice of `n_samples` in turn.
    """
    random = np.random.default_rng(seed)
    for i in range(n_clips):
        n = (n_samples // 2, n_samples, 2 * n_samples)[i % 3]
        level = 10 ** random.uniform(*LOG_LEVELS)
        if i < 3:
            noise = np.zeros(n)
        elif i % 4:
            spectrum = np.fft.rfft(random.standard_normal(n))
            slope = random.uniform(0, 1)  # of the amplitude: 0 is white, 1 is brown
            noise = np.fft.irfft(spectrum / np.arange(1, len(spectrum) + 1) ** slope, n)
            noise /= noise.std()
        else:
            phase = 2 * np.pi * random.uniform(40, 400) * np.arange(n) / SAMPLE_RATE_HZ
            noise = np.sum([np.sin(k * phase) * random.uniform(0, 1) for k in range(1, 6)], axis=0)
        yield np.asarray(np.clip(level * noise, -1, 1), np.float32)


def windows_without(
    corpus: Corpus,
    part: str,
    keywords: Sequence[str],
    n_samples: int,
    load: Callable[[Any], NDArray[np.float32]],
) -> Iterator[NDArray[np.float32]]:
    """Yields windows of clips without a keyword in their `text`, shuffled by a hash.

    Clips with the label `keyword` are left out, and clips that cannot be decoded.  part: train,
    valid or test; clips without a split are in that of a hash.  load: waveform of a cut.  The last
    window of a clip has at least half of the samples.
    """
    spoken = [f" {_words(keyword)} " for keyword in keywords]
    found = {}
    for cut in corpus.cuts:
        custom = cut.custom or {}
        text, split = custom.get("text"), custom.get("split")
        if custom.get("keyword") is not None or not isinstance(text, str):
            continue
        digest = hashlib.sha256(cut.id.encode()).digest()
        if split not in NAMES:
            split = NAMES[digest[0] % len(NAMES)]
        if split == part and not any(keyword in f" {_words(text)} " for keyword in spoken):
            found[digest] = cut
    for digest in sorted(found):
        try:
            audio = load(found[digest])
        except DataError:
            continue
        pieces = (audio[i : i + n_samples] for i in range(0, len(audio), n_samples))
        yield from (piece for piece in pieces if len(piece) >= n_samples / 2)


def _words(text: str) -> str:
    return " ".join(re.findall(r"[\w']+", text.replace("_", " ").casefold()))
