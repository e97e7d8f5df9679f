"""Further audio without labels, on which a fine-tuned network only imitates its teacher."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import torch
from torch import Tensor

from earbit.audio.clips import Clip, ClipTable, read_clip
from earbit.audio.place import Place
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.training_corpus import open_clips
from earbit.errors import DataError, require_range
from earbit.frames import MIN_SAMPLES
from earbit.progress import say

MAX_TRIES = 10
"""Clips that are tried for one crop, because some may not be decodable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnlabelledConfig:
    """Crops of a corpus without labels in every batch; none by default."""

    corpus: str | None = None
    """A corpus of `earbit pretrain`, of which the training clips are used."""
    batch_size: int = 32
    """Crops per update, beside the clips of the task."""
    crop_s: float = 1.0
    """Length of a crop; shorter clips are used whole."""

    def __post_init__(self) -> None:
        require_range(1, inf, batch_size=self.batch_size)
        require_range(MIN_SAMPLES / SAMPLE_RATE_HZ, inf, crop_s=self.crop_s)


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """An opened corpus."""

    table: ClipTable
    digest: str
    config: UnlabelledConfig
    failed: set[str] = field(default_factory=set)
    """Clips that cannot be decoded, each named once."""

    def crops(self, generator: torch.Generator) -> list[Tensor]:
        """Random crops of random clips, float32 (N,) at 16 kHz.

        Raises DataError if no clip of several can be decoded.
        """
        return [self._crop(generator) for _ in range(self.config.batch_size)]

    def _crop(self, generator: torch.Generator) -> Tensor:
        reason = ""
        for _ in range(MAX_TRIES):
            clip = self.table[int(torch.randint(len(self.table), (), generator=generator))]
            n_samples = min(clip.n_samples, round(self.config.crop_s * SAMPLE_RATE_HZ))
            n_starts = clip.n_samples - n_samples + 1
            start = int(torch.randint(n_starts, (), generator=generator))
            try:
                return torch.from_numpy(read_clip(clip, start, n_samples))
            except DataError as error:
                reason = str(error)
                if clip.id not in self.failed:
                    say(f"left out: {reason}")
                self.failed.add(clip.id)
        raise DataError(
            f"{MAX_TRIES} clips of {self.config.corpus} in turn fail, the last: {reason}"
        )


def open_unlabelled(config: UnlabelledConfig, held_out: Iterable[Clip] = ()) -> Unlabelled | None:
    """Opens the corpus without decoding it; None without one.

    held_out: clips for validation and test, which are left out wherever their files are found.
    Raises DataError if it has no other clip of at least the length of a frame.
    """
    if config.corpus is None:
        return None
    corpus = open_clips(config.corpus)
    files = {_file(clip) for clip in held_out}
    names = {path.name for path, _ in files}  # of most clips, no link has to be followed

    def is_used(clip: Clip) -> bool:
        is_held_out = clip.path.name in names and _file(clip) in files
        return clip.n_samples >= MIN_SAMPLES and not is_held_out

    table = ClipTable(filter(is_used, corpus.train))
    if not len(table):
        raise DataError(f"{config.corpus}: no clip of 25 ms or more to train on")
    return Unlabelled(table, corpus.digest, config)


def _file(clip: Clip) -> tuple[Path, Place]:
    return clip.path.resolve(), clip.place
