"""First pass over a corpus: k-means on frames of its training clips, in bounded memory."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit import distributed
from earbit.audio.clips import ClipTable, ReadClip
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import DataError
from earbit.files import write_whole
from earbit.progress import progress, say
from earbit.units.kmeans import KMeans, fit_kmeans
from earbit.units.labels import MAX_DRIFT_S, too_few_units
from earbit.units.over_clips import for_each_clip
from earbit.units.sources import Array, FeatureSource

DISTINCT = 1e-5
"""Frames that differ by less than this fraction of the largest value count as equal."""
BYTES_PER_VALUE = 4


@dataclass(frozen=True, slots=True)
class FitFrames:
    """Which frames of a corpus k-means is fitted on."""

    rows: NDArray[np.int64]
    """Rows of the clips, in order."""
    n_frames: NDArray[np.int64]
    """Maximum number of frames of each of them, chosen at random."""
    seed: int

    def sample(self, i: int, features: Array) -> Array:
        """The frames of clip number `i` of `rows`."""
        n = int(self.n_frames[i])
        if n >= len(features):
            return features
        random = np.random.default_rng([self.seed, int(self.rows[i])])
        return features[np.sort(random.choice(len(features), n, replace=False))]


def frames_to_fit(
    clips: ClipTable, *, rate_hz: float, fraction: float, max_frames: int, seed: int
) -> FitFrames:
    """Draws `fraction` of the clips and, of these, the same share of all frames of each.

    The share is 1 unless the clips have more than `max_frames` frames.
    """
    n_clips = max(1, math.ceil(fraction * len(clips)))
    rows = np.sort(np.random.default_rng(seed).permutation(len(clips))[:n_clips])
    expected = clips.n_samples[rows] / SAMPLE_RATE_HZ * rate_hz
    total = expected.sum()
    if total <= max_frames:
        n_frames = np.ceil(expected + MAX_DRIFT_S * rate_hz)
    else:
        n_frames = np.diff(np.floor(np.cumsum(expected) * (max_frames / total)), prepend=0)
    chosen = n_frames > 0
    return FitFrames(rows[chosen], n_frames[chosen].astype(np.int64), seed)


def fit_units(
    clips: ClipTable,
    read: ReadClip,
    source: FeatureSource,
    parts: Path,
    *,
    n_units: int,
    seed: int,
    fraction: float,
    memory_gb: float,
    n_workers: int = -1,
) -> KMeans:
    """Fits k-means on frames of `clips`, which take at most `memory_gb`.

    parts: an existing folder for what the ranks of a distributed run exchange; the result does not
    depend on their number.  Raises DataError if no clip is readable, and for audio with fewer
    distinct frames than units.
    """
    n_dims = _n_dims(clips, read, source)
    max_frames = max(n_units, int(memory_gb * 1e9) // (BYTES_PER_VALUE * n_dims))
    plan = frames_to_fit(
        clips, rate_hz=source.rate_hz, fraction=fraction, max_frames=max_frames, seed=seed
    )
    rank, n_ranks = distributed.rank(), distributed.n_ranks()
    frames, counts = sampled(
        clips, read, source, plan, n_dims, rank=rank, n_ranks=n_ranks, n_workers=n_workers
    )
    if n_ranks > 1:
        for name, values in (("frames", frames), ("counts", counts)):
            write_whole(parts / f"{name}-{rank}.npy", functools.partial(_save, values=values))
        frames = np.empty((0, n_dims), np.float32)  # one rank reads the files
        distributed.barrier()

    def fit() -> NDArray[np.float32]:
        joined = frames if n_ranks == 1 else joined_frames(parts, n_ranks, len(plan.rows), n_dims)
        say(
            f"k-means on {len(joined):,} frames of {len(plan.rows):,} clips, "
            f"{joined.nbytes / 1e6:,.0f} MB of {source.name}"
        )
        _check_distinct(joined, n_units)
        return fit_kmeans(joined, n_units=n_units, seed=seed).centroids

    return KMeans(distributed.first(fit))


def sampled(
    clips: ClipTable,
    read: ReadClip,
    source: FeatureSource,
    plan: FitFrames,
    n_dims: int,
    *,
    rank: int,
    n_ranks: int,
    n_workers: int = -1,
) -> tuple[Array, NDArray[np.int64]]:
    """The frames of every `n_ranks`-th clip of a plan, and their number for each of these clips."""
    mine = range(rank, len(plan.rows), n_ranks)
    frames = np.empty((int(plan.n_frames[rank::n_ranks].sum()), n_dims), np.float32)
    counts = np.zeros(len(mine), np.int64)
    place_of = {int(plan.rows[i]): i for i in mine}
    rows = [int(plan.rows[i]) for i in mine]
    end = 0
    with progress(f"{source.name} for k-means", len(rows)) as advance:
        made = for_each_clip(
            clips,
            rows,
            read,
            source,
            lambda row, features: plan.sample(place_of[row], features),
            n_workers=n_workers,
        )
        for number, (clip, found) in enumerate(made):
            if not isinstance(found, str):
                if found.shape[1] != n_dims:
                    raise DataError(
                        f"{clip.id!r}: features of {found.shape[1]} dimensions, those of others "
                        f"have {n_dims}"
                    )
                frames[end : end + len(found)] = found
                counts[number] = len(found)
                end += len(found)
            advance(1)
    return frames[:end], counts


def joined_frames(parts: Path, n_ranks: int, n_clips: int, n_dims: int) -> Array:
    """The frames of all ranks, in the order of the clips."""
    frames = [np.load(parts / f"frames-{r}.npy", mmap_mode="r") for r in range(n_ranks)]
    counts = [np.load(parts / f"counts-{r}.npy") for r in range(n_ranks)]
    joined = np.empty((sum(map(len, frames)), n_dims), np.float32)
    ends = [0] * n_ranks
    end = 0
    for i in range(n_clips):
        rank, number = i % n_ranks, i // n_ranks
        n = int(counts[rank][number])
        joined[end : end + n] = frames[rank][ends[rank] : ends[rank] + n]
        ends[rank] += n
        end += n
    return joined


def _save(path: Path, values: NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.save(file, values)


def _n_dims(clips: ClipTable, read: ReadClip, source: FeatureSource) -> int:
    """Dimensions of the features, from the first readable clip."""
    reason = "there is none"
    for _, found in for_each_clip(
        clips, range(len(clips)), read, source, lambda row, features: features[:1], n_workers=0
    ):
        if not isinstance(found, str):
            return int(found.shape[1])
        reason = found
    raise DataError(f"none of {len(clips)} training clips can be read; the last: {reason}")


def _check_distinct(frames: Array, n_units: int) -> None:
    """Raises DataError before k-means if there are fewer distinct frames than units."""
    largest = max(float(frames.max(initial=0.0)), -float(frames.min(initial=0.0)))
    step = DISTINCT * largest
    if len(frames) < n_units or not np.isfinite(step):
        return  # k-means raises errors for these
    distinct: set[bytes] = set()
    for row in frames:
        # Frames of silence differ in their last bits, depending on their place in a block.
        distinct.add((np.round(row / step if step else row) + 0.0).tobytes())  # -0 is 0
        if len(distinct) == n_units:
            return
    raise too_few_units(len(distinct), n_units)
