"""Batches of clips of similar length, with bounded total duration.

The batches of an epoch are a pure function of the clips, the seed and the epoch, so a resumed run
only skips the batches that it has used.
"""

from __future__ import annotations

import random
import warnings
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from lhotse import CutSet, MonoCut
from lhotse.dataset import DynamicBucketingSampler
from lhotse.dataset.sampling.base import TimeConstraint
from lhotse.dataset.sampling.dynamic_bucketing import estimate_duration_buckets
from numpy.typing import NDArray

from earbit.audio.clips import ClipTable
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import ConfigError

MAX_BUCKETS = 8
BUFFER_CUTS = 20_000
"""Maximum number of cuts in the buckets; larger epochs are shuffled beforehand."""


def epoch_batches(
    clips: ClipTable,
    *,
    max_duration_s: float,
    seed: int,
    epoch: int,
) -> list[NDArray[np.int64]]:
    """Rows of the batches of one epoch: every clip once, at most `max_duration_s` with padding.

    A longer clip forms a batch of its own, which the trainer crops.  The result depends
    only on the ids, the lengths and the arguments, and global random state is unchanged.
    Raises ConfigError without clips or duration.
    """
    if not len(clips) or max_duration_s <= 0:
        raise ConfigError(
            f"{len(clips)} clips in batches of {max_duration_s} s; both must be above zero"
        )
    rows = list(range(len(clips)))
    random.Random(f"{seed} {epoch}").shuffle(rows)
    bounds = _bucket_bounds(clips, rows, max_duration_s)
    with warnings.catch_warnings():
        # The sampler warns of cuts that are batches of their own.
        warnings.simplefilter("ignore")
        sampler = DynamicBucketingSampler(
            CutSet(_Cuts(clips, rows)),
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
        return [np.array([int(cut.id) for cut in batch]) for batch in sampler]


@dataclass(frozen=True)
class _Cuts:
    """Rows of a table as cuts, made one at a time."""

    clips: ClipTable
    rows: Sequence[int]

    def __iter__(self) -> Iterator[MonoCut]:
        for row in self.rows:
            duration_s = int(self.clips.n_samples[row]) / SAMPLE_RATE_HZ
            yield MonoCut(id=str(row), start=0.0, duration=duration_s, channel=0)


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


def _bucket_bounds(clips: ClipTable, rows: Sequence[int], max_duration_s: float) -> list[float]:
    """Upper bounds of the buckets in s. Longer clips have a bucket of their own."""
    durations_s = clips.n_samples / SAMPLE_RATE_HZ
    fitting = [row for row in rows if durations_s[row] <= max_duration_s]
    if not fitting:
        return [max_duration_s]
    longest_s = float(durations_s[fitting].max())
    if len(fitting) == 1:
        return [longest_s]
    n_buckets = min(MAX_BUCKETS, len(fitting))
    bounds = estimate_duration_buckets(_Cuts(clips, fitting), num_buckets=n_buckets)
    return sorted({*map(float, bounds), longest_s})
