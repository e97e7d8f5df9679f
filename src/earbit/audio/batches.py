"""Batches of utterances of similar length, with bounded total duration.

The batches of an epoch are a pure function of the corpus, the seed and the epoch, so a resumed run
only skips the batches that it has used.
Letters: B batch, N samples.
"""

from __future__ import annotations

import random
import warnings
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lhotse import CutSet, MonoCut
from lhotse.dataset import DynamicBucketingSampler
from lhotse.dataset.sampling.base import TimeConstraint
from lhotse.dataset.sampling.dynamic_bucketing import estimate_duration_buckets
from torch import Tensor

from earbit.errors import ConfigError

MAX_BUCKETS = 8
BUFFER_CUTS = 20_000
"""Maximum number of cuts in the buckets; larger epochs are shuffled beforehand."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops of utterances with equal lengths."""

    ids: tuple[str, ...]
    waveforms: Tensor
    """Float32 (B, N)."""
    starts: tuple[int, ...]
    """Start of every row within its utterance, in samples."""


def epoch_batches(
    cuts: CutSet,
    *,
    max_duration_s: float,
    seed: int,
    epoch: int,
) -> list[tuple[str, ...]]:
    """Ids of the batches of one epoch: every cut once, at most `max_duration_s` of padded audio.

    A longer cut forms a batch of its own, which the trainer crops.  The result depends
    only on the ids, the durations and the arguments, and global random state is unchanged.
    Raises ConfigError without cuts or duration.
    """
    n_cuts = len(cuts)
    if not n_cuts or max_duration_s <= 0:
        raise ConfigError(
            f"{n_cuts} cuts in batches of {max_duration_s} s; both must be above zero"
        )
    # The sampler modifies its cuts, so it gets copies.
    bare = [MonoCut(id=c.id, start=0.0, duration=c.duration, channel=0) for c in cuts]
    bare.sort(key=lambda cut: cut.id)
    random.Random(f"{seed} {epoch}").shuffle(bare)
    bounds = _bucket_bounds(bare, max_duration_s)
    with warnings.catch_warnings():
        # The sampler warns of eager cut sets and of cuts that are batches of their own.
        warnings.simplefilter("ignore")
        sampler = DynamicBucketingSampler(
            CutSet.from_cuts(bare),
            constraint=_PaddedDuration(max_duration=max_duration_s, bounds=bounds),
            duration_bins=bounds,
            buffer_size=BUFFER_CUTS,
            shuffle=True,
            seed=seed,
            # By default the sampler asks torch.distributed.
            rank=0,
            world_size=1,
            drop_last=False,
        )
        sampler.set_epoch(epoch)
        return [tuple(cut.id for cut in batch) for batch in sampler]


@dataclass
class _PaddedDuration(TimeConstraint):  # type: ignore[misc]
    """Counts every cut as long as the longest that its bucket may hold.

    Lhotse closes a batch when one more cut of the longest length so far would exceed the limit, so
    a longer cut could exceed it.
    """

    bounds: Sequence[float] = ()
    longest_seen: float = 0.0

    def add(self, example: MonoCut) -> None:
        """Counts one more cut."""
        super().add(example)
        bucket = bisect_left(self.bounds, example.duration)
        if bucket < len(self.bounds):
            self.longest_seen = max(self.longest_seen, self.bounds[bucket])


def _bucket_bounds(cuts: Sequence[MonoCut], max_duration_s: float) -> list[float]:
    """Upper bounds of the buckets in s. Longer clips have a bucket of their own."""
    fitting = [cut for cut in cuts if cut.duration <= max_duration_s]
    if not fitting:
        return [max_duration_s]
    longest_s = max(cut.duration for cut in fitting)
    if len(fitting) == 1:
        return [longest_s]
    bounds = estimate_duration_buckets(fitting, num_buckets=min(MAX_BUCKETS, len(fitting)))
    return sorted({*map(float, bounds), longest_s})


def collate(
    ids: tuple[str, ...],
    waveforms: Mapping[str, np.ndarray],
    *,
    crop_samples: int,
    generator: torch.Generator,
) -> Batch:
    """Stacks utterances, cropped to the shortest and to at most `crop_samples`.

    `generator` draws the start of each crop.  No row is padded, as in the training of HuBERT: with
    similar lengths in a batch little audio is lost, and statistics need not exclude padding.
    """
    n_samples = min(crop_samples, *(waveforms[name].size for name in ids))
    rows, starts = [], []
    for name in ids:
        room = waveforms[name].size - n_samples
        start = int(torch.randint(room + 1, (), generator=generator))
        rows.append(torch.from_numpy(waveforms[name][start : start + n_samples]))
        starts.append(start)
    return Batch(ids=ids, waveforms=torch.stack(rows), starts=tuple(starts))
