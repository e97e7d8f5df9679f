"""Clips of the keywords of a corpus, a second each, for benchmarks that tell words apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earbit.audio.corpus import decoded_corpus, open_corpus
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.superb.examples import task_splits
from earbit.superb.tasks import task_named

BATCH, CLIP_SAMPLES = 24, SAMPLE_RATE_HZ


@dataclass
class Words:
    """Clips of a second with the number of their word."""

    train: list[tuple[np.ndarray, int]]
    test: list[tuple[np.ndarray, int]]
    n_words: int

    def batches(self, n_steps: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        random = np.random.default_rng(seed)
        for _ in range(n_steps):
            rows = [self.train[i] for i in random.integers(0, len(self.train), BATCH)]
            offsets = [random.integers(0, len(clip) - CLIP_SAMPLES + 1) for clip, _ in rows]
            waves = [c[o : o + CLIP_SAMPLES] for (c, _), o in zip(rows, offsets, strict=True)]
            yield torch.from_numpy(np.stack(waves)), torch.tensor([word for _, word in rows])


def words_of(corpus: str, folder: Path) -> Words:
    opened, waveforms = decoded_corpus(open_corpus(corpus), folder)
    splits = task_splits(task_named("ks"), opened.cuts)
    names = sorted({example.target for example in splits.train})

    def clips(part: Any) -> list[tuple[np.ndarray, int]]:
        return [
            (_at_least_a_second(waveforms[e.id]), names.index(e.target))
            for e in part
            if e.target in names
        ]

    return Words(clips(splits.train), clips(splits.test), len(names))


def _at_least_a_second(clip: np.ndarray) -> np.ndarray:
    return np.pad(clip, (0, max(0, CLIP_SAMPLES - len(clip)))).astype(np.float32)


def commonest_share(words: Words) -> float:
    counts = np.bincount([word for _, word in words.test])
    return float(counts.max() / len(words.test))
