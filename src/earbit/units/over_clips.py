"""Features of many clips, one by one, computed ahead in worker processes; ranks share the clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.audio.clips import Clip, ClipTable, ReadClip
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.workers import auto_workers, made_ahead
from earbit.distributed import n_ranks_here
from earbit.errors import DataError
from earbit.units.labels import MAX_DRIFT_S
from earbit.units.sources import Array, FeatureSource

LEAST_S_FOR_WORKERS = 600.0
"""Seconds of audio from which worker processes are started by default."""


class Unreadable(Exception):
    """A clip whose audio cannot be decoded or has no features."""


def for_each_clip(
    clips: Sequence[Clip],
    rows: Sequence[int],
    read: ReadClip,
    source: FeatureSource,
    work: Callable[[int, Array], NDArray[Any]],
    *,
    n_workers: int = -1,
) -> Iterator[tuple[Clip, NDArray[Any] | str]]:
    """Yields each clip with `work(row, features)`, or with the reason why it has no features.

    rows: indices of `clips`.  n_workers: processes; -1 chooses by the cores and the audio.
    Raises DataError for features at another rate than that of the source, and for features that are
    not finite.
    """
    if n_workers < 0:
        is_short = _duration_s(clips, rows) < LEAST_S_FOR_WORKERS
        n_workers = 0 if is_short else auto_workers(n_ranks_here())

    def decode(row: int) -> Array | str:
        try:
            return read(clips[row])
        except DataError as error:
            return str(error)

    def features(row: int, audio: Array | str | None) -> NDArray[Any] | str:
        clip = clips[row]

        def given() -> Array:
            waveform = decode(row) if audio is None else audio
            if isinstance(waveform, str):
                raise Unreadable(waveform)
            return waveform

        try:
            found = source.compute(clip, given)
        except Unreadable as error:
            return str(error)
        except DataError as error:
            return f"{clip.path}: {error}"
        _check(clip, found, source.rate_hz)
        return work(row, found)

    if source.in_workers:
        for row, made in zip(
            rows, made_ahead(lambda row: features(row, None), rows, n_workers), strict=True
        ):
            yield clips[row], made
    else:
        for row, audio in zip(rows, made_ahead(decode, rows, n_workers), strict=True):
            yield clips[row], features(row, audio)


def _duration_s(clips: Sequence[Clip], rows: Sequence[int]) -> float:
    if isinstance(clips, ClipTable):
        return int(clips.n_samples[np.asarray(rows, np.int64)].sum()) / SAMPLE_RATE_HZ
    return sum(clips[row].duration_s for row in rows)


def _check(clip: Clip, features: Array, rate_hz: float) -> None:
    if features.ndim != 2:
        raise DataError(
            f"{clip.id!r}: features of shape {features.shape}; expected (frames, dimensions)"
        )
    features_s = len(features) / rate_hz
    if abs(features_s - clip.duration_s) > MAX_DRIFT_S:
        raise DataError(
            f"{clip.id!r}: {len(features)} feature frames are {features_s:.2f} s at "
            f"rate_hz={rate_hz:g}, the audio is {clip.duration_s:.2f} s; give the rate that the "
            "features have"
        )
    if not np.isfinite(features).all():
        raise DataError(
            f"{clip.id!r}: features are not all finite; look for broken audio or a broken model"
        )
