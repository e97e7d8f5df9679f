"""Batches of clips of similar length, with bounded total duration.

The batches of an epoch are a pure function of the clips, the seed and the epoch, so a resumed run
only skips the batches that it has used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from earbit.audio.clips import ClipTable
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import ConfigError

MAX_BUCKETS = 8


def epoch_batches(
    clips: ClipTable,
    *,
    max_duration_s: float,
    seed: int,
    epoch: int,
) -> list[NDArray[np.int64]]:
    """Rows of the batches of one epoch: every clip once, at most `max_duration_s` with padding.

    Clips are shuffled, divided into buckets of similar length, and a batch has clips of one bucket,
    each counted as long as the longest of the bucket.  The batches are in random order.  A clip
    longer than `max_duration_s` forms a batch of its own, which the trainer crops.  The result
    depends only on the ids, the lengths and the arguments, and global random state is unchanged.
    Raises ConfigError without clips or duration.
    """
    if not len(clips) or max_duration_s <= 0:
        raise ConfigError(
            f"{len(clips)} clips in batches of {max_duration_s} s; both must be above zero"
        )
    random = np.random.default_rng([seed, epoch])
    rows = random.permutation(len(clips))
    max_samples = int(max_duration_s * SAMPLE_RATE_HZ)
    bounds = _bucket_bounds(clips.n_samples, max_samples)
    bucket = np.searchsorted(bounds, clips.n_samples[rows])
    batches = []
    for number, bound in enumerate([*bounds.tolist(), max_samples]):
        chosen = rows[bucket == number]
        n_rows = max(1, max_samples // max(1, bound))
        batches += [chosen[at : at + n_rows] for at in range(0, len(chosen), n_rows)]
    return [batches[i] for i in random.permutation(len(batches))]


def _bucket_bounds(n_samples: NDArray[np.int64], max_samples: int) -> NDArray[np.int64]:
    """Upper bounds of buckets of equal total duration, without clips above `max_samples`."""
    fitting = np.sort(n_samples[n_samples <= max_samples])
    if not len(fitting):
        return np.zeros(0, np.int64)
    until = np.cumsum(fitting)
    shares = np.arange(1, MAX_BUCKETS + 1) * until[-1] // MAX_BUCKETS
    return np.unique(fitting[np.searchsorted(until, shares)])
