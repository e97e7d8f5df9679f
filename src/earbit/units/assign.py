"""Second pass over a corpus: a unit for every frame of every clip, written clip by clip."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from earbit import distributed
from earbit.audio.clips import ClipTable, ReadClip
from earbit.errors import DataError
from earbit.progress import progress
from earbit.units.kmeans import KMeans
from earbit.units.labels import LabelHeader, UnitLabels, write_labels
from earbit.units.over_clips import for_each_clip
from earbit.units.sources import FeatureSource


def label_clips(
    clips: ClipTable,
    read: ReadClip,
    source: FeatureSource,
    kmeans: KMeans,
    path: Path,
    header: LabelHeader,
    parts: Path,
    *,
    n_workers: int = -1,
) -> tuple[UnitLabels, dict[str, str]]:
    """Writes the nearest centre of every frame to `path`; returns labels and unreadable clips.

    parts: an existing folder for what the ranks of a distributed run exchange.  The reason is given
    for each id of an unreadable clip.  Raises DataError if no clip is readable.
    """
    rank, n_ranks = distributed.rank(), distributed.n_ranks()
    reasons: dict[str, str] = {}
    made = labelled_rows(
        clips, read, source, kmeans, reasons, rank=rank, n_ranks=n_ranks, n_workers=n_workers
    )
    if n_ranks == 1:
        try:
            return write_labels(path, header, made), reasons
        except DataError:
            if len(reasons) == len(clips):
                raise none_readable(reasons) from None
            raise
    if (mine := _if_any(made)) is not None:
        write_labels(parts / f"labels-{rank}.safetensors", header, mine)
    for others in distributed.exchange(reasons):
        reasons |= others
    if len(reasons) == len(clips):
        raise none_readable(reasons)
    distributed.first(lambda: join(parts, n_ranks, path, header))
    return UnitLabels.load(path), reasons


def labelled_rows(
    clips: ClipTable,
    read: ReadClip,
    source: FeatureSource,
    kmeans: KMeans,
    reasons: dict[str, str],
    *,
    rank: int,
    n_ranks: int,
    n_workers: int = -1,
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Id and units of every `n_ranks`-th clip; adds unreadable ones to `reasons`."""
    rows = range(rank, len(clips), n_ranks)
    with progress(f"units of {source.name}", len(rows)) as advance:
        made = for_each_clip(
            clips,
            rows,
            read,
            source,
            lambda row, features: kmeans.assign(features),
            n_workers=n_workers,
        )
        for clip, found in made:
            if isinstance(found, str):
                reasons[clip.id] = found
            else:
                yield clip.id, found
            advance(1)


def join(parts: Path, n_ranks: int, path: Path, header: LabelHeader) -> None:
    """Joins the labels of all ranks, in the order of the ids."""
    files = [parts / f"labels-{rank}.safetensors" for rank in range(n_ranks)]
    rows = (UnitLabels.load(file).in_order() for file in files if file.exists())
    write_labels(path, header, heapq.merge(*rows, key=lambda row: row[0]))


def _if_any(
    rows: Iterator[tuple[str, NDArray[Any]]],
) -> Iterator[tuple[str, NDArray[Any]]] | None:
    """The rows, or None if there is none."""
    first = next(rows, None)
    if first is None:
        return None

    def all_rows() -> Iterator[tuple[str, NDArray[Any]]]:
        yield first
        yield from rows

    return all_rows()


def none_readable(reasons: Mapping[str, str]) -> DataError:
    """The error about a corpus without a readable clip."""
    return DataError(f"none of {len(reasons)} clips can be read; {next(iter(reasons.values()))}")
