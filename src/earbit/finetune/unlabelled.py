"""Further audio without labels, on which a fine-tuned network only imitates its teacher."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from math import inf

import torch
from torch import Tensor

from earbit.audio.clips import Clip, ClipTable, read_clip
from earbit.audio.corpus import say_unusable
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.training_corpus import open_clips
from earbit.errors import ConfigError, DataError, require_range
from earbit.finetune.held_out import HeldOut
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
        require_range(1, 2**16, batch_size=self.batch_size)
        require_range(MIN_SAMPLES / SAMPLE_RATE_HZ, inf, crop_s=self.crop_s)
        for item in fields(self):
            value = getattr(self, item.name)
            if self.corpus is None and value != item.default:
                raise ConfigError(
                    f"unlabelled.{item.name}={value} without unlabelled.corpus, so it has no "
                    "effect; give a corpus, or leave it out"
                )


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

    held_out: clips for validation and test.  Clips that `HeldOut` recognizes as one of them are
    left out and counted; it does not recognize other copies and other clips of the same speakers.
    Raises DataError if no other clip has at least the length of a frame.
    """
    if config.corpus is None:
        return None
    corpus = open_clips(config.corpus)
    say_unusable(corpus, f" of {config.corpus}")
    known = HeldOut(held_out)
    n_left_out = 0

    def is_used(clip: Clip) -> bool:
        nonlocal n_left_out
        is_held_out = known.has(clip)
        n_left_out += is_held_out
        return clip.n_samples >= MIN_SAMPLES and not is_held_out

    table = ClipTable(filter(is_used, corpus.train))
    if n_left_out:
        say(f"{config.corpus}: {n_left_out} clips not used, as the task validates or tests on them")
    if not len(table):
        raise DataError(
            f"{config.corpus}: no clip of 25 ms or more is left to train on; give further audio"
        )
    say(f"audio without labels: {len(table)} clips, {table.duration_s / 3600:.3g} hours")
    return Unlabelled(table, corpus.digest, config)
