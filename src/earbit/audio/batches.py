"""Batches of clips of similar length, with bounded total duration.

The batches of an epoch are a pure function of the clips, the seed and the epoch, so a resumed run
only skips the batches that it has used.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from earbit.audio.clips import ClipTable
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import ConfigError

N_SHARES = 8
"""Buckets of equal total duration."""
MAX_ROWS = 64
"""Up to this number of rows in a batch, the greatest length for each number bounds a bucket."""


def epoch_batches(
    clips: ClipTable,
    *,
    max_duration_s: float,
    crop_s: float = math.inf,
    seed: int,
    epoch: int,
) -> list[NDArray[np.int64]]:
    """Rows of the batches of one epoch: every clip once, at most `max_duration_s` with padding.

    Clips are shuffled, divided into buckets of similar length, and a batch has clips of one bucket,
    each counted as the upper bound of the bucket.  crop_s: length to which the trainer crops, so no
    clip counts as longer.  The batches are in random order.  A clip longer than `max_duration_s`
    forms a batch of its own.  The result depends only on the ids, the lengths and the arguments,
    and global random state is unchanged.
    Raises ConfigError without clips or duration.
    """
    if not len(clips) or max_duration_s <= 0:
        raise ConfigError(
            f"{len(clips)} clips in batches of {max_duration_s} s; both must be above zero"
        )
    random = np.random.default_rng([seed, epoch])
    rows = random.permutation(len(clips))
    max_samples = int(max_duration_s * SAMPLE_RATE_HZ)
    sizes = np.minimum(clips.n_samples, crop_s * SAMPLE_RATE_HZ).astype(np.int64)
    bounds = _bucket_bounds(sizes, max_samples)
    bucket = np.searchsorted(bounds, sizes[rows])
    batches = []
    for number, bound in enumerate([*bounds.tolist(), max_samples]):
        chosen = rows[bucket == number]
        n_rows = max(1, max_samples // max(1, bound))
        batches += [chosen[at : at + n_rows] for at in range(0, len(chosen), n_rows)]
    return [batches[i] for i in random.permutation(len(batches))]


def _bucket_bounds(sizes: NDArray[np.int64], max_samples: int) -> NDArray[np.int64]:
    """Upper bounds of buckets of clips up to `max_samples`, each with a full batch or more.

    Bounds are the greatest lengths of which 1, 2, ... rows fit, because a bucket that begins just
    above a third of a batch and ends below a half fills two thirds.
    """
    fitting = np.sort(sizes[sizes <= max_samples])
    if not len(fitting):
        return np.zeros(0, np.int64)
    until = np.cumsum(fitting)
    shares = np.arange(1, N_SHARES + 1) * until[-1] // N_SHARES
    of_rows = max_samples // np.arange(1, MAX_ROWS + 1)
    bounds: list[int] = []
    n_before = 0
    for bound in np.union1d(fitting[np.searchsorted(until, shares)], of_rows).tolist():
        n_below = int(np.searchsorted(fitting, bound, side="right"))
        if 0 < bound < fitting[-1] and n_below - n_before >= max_samples // bound:
            bounds.append(bound)
            n_before = n_below
    return np.array([*bounds, fitting[-1]])
