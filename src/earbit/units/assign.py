"""Second pass over a corpus: a unit for every frame of every clip, resumable after a chunk."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from earbit import distributed
from earbit.audio.clips import ClipTable, ReadClip
from earbit.errors import DataError, FormatError
from earbit.progress import progress
from earbit.units.kmeans import KMeans
from earbit.units.labels import LabelHeader, UnitLabels, write_labels
from earbit.units.over_clips import for_each_clip
from earbit.units.sources import FeatureSource

Row = tuple[str, NDArray[Any]]
"""Id and units of a clip."""
CHUNK_CLIPS = 2000
"""Clips of a file that an interrupted labelling keeps."""


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

    parts: an existing folder for labels of each rank.  Those that an interrupted call left there
    are taken if their header, and so corpus and k-means model, is the same, and removed if not;
    unreadable clips are tried again.  The reason is given for each id of an unreadable clip.
    Raises DataError if no clip is readable.
    """
    rank, n_ranks = distributed.rank(), distributed.n_ranks()
    reasons: dict[str, str] = {}
    rows = range(rank, len(clips), n_ranks)
    files_of = [_chunk_files(parts, of_rank, n_ranks, len(clips)) for of_rank in range(n_ranks)]
    distributed.first(lambda: _remove_others(parts, set(chain.from_iterable(files_of))))
    with progress(f"units of {source.name}", len(rows)) as advance:
        for number, file in enumerate(files_of[rank]):
            chunk = rows[number * CHUNK_CLIPS : (number + 1) * CHUNK_CLIPS]
            known = _known(file, header, {clips.ids[row] for row in chunk})
            left = [row for row in chunk if clips.ids[row] not in known]
            advance(len(chunk) - len(left))
            made = labelled_rows(
                clips, left, read, source, kmeans, reasons, advance, n_workers=n_workers
            )
            if (new := _if_any(made)) is not None:
                both = heapq.merge(sorted(known.items()), new, key=_id)
                write_labels(file, header, both)
    for others in distributed.exchange(reasons):
        reasons |= others
    if len(reasons) == len(clips):
        raise none_readable(reasons)
    distributed.first(lambda: join(files_of, path, header))
    return UnitLabels.load(path), reasons


def labelled_rows(
    clips: ClipTable,
    rows: Sequence[int],
    read: ReadClip,
    source: FeatureSource,
    kmeans: KMeans,
    reasons: dict[str, str],
    advance: Callable[[int], None],
    *,
    n_workers: int = -1,
) -> Iterator[Row]:
    """Id and units of the clips of some rows; adds unreadable ones to `reasons`."""
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


def join(files_of: Sequence[Sequence[Path]], path: Path, header: LabelHeader) -> None:
    """Joins the labels of all ranks, in the order of the ids.

    files_of: the chunks of each rank; a chunk without a readable clip has no file.
    """
    rows = [
        chain.from_iterable(UnitLabels.load(file).in_order() for file in files if file.exists())
        for files in files_of
    ]
    write_labels(path, header, heapq.merge(*rows, key=_id))


def _chunk_files(parts: Path, rank: int, n_ranks: int, n_clips: int) -> list[Path]:
    """The files of the chunks of a rank, whether or not they exist."""
    n_chunks = -(-len(range(rank, n_clips, n_ranks)) // CHUNK_CLIPS)
    return [
        parts / f"labels-{rank}-of-{n_ranks}-{number:06}.safetensors" for number in range(n_chunks)
    ]


def _remove_others(parts: Path, files: Collection[Path]) -> None:
    """Removes chunks of an interrupted call with more clips or another number of ranks."""
    for path in parts.glob("labels-*.safetensors"):
        if path not in files:
            path.unlink()


def _known(file: Path, header: LabelHeader, ids: Collection[str]) -> dict[str, NDArray[Any]]:
    """Labels of an interrupted call; empty if they are of other settings or clips."""
    if not file.exists():
        return {}
    try:
        labels = UnitLabels.load(file)
        if labels.header == header and all(name in ids for name in labels.by_id):
            return dict(labels.in_order())
    except FormatError:
        pass
    file.unlink()
    return {}


def _id(row: Row) -> str:
    return row[0]


def _if_any(rows: Iterator[Row]) -> Iterator[Row] | None:
    """The rows, or None if there is none."""
    first = next(rows, None)
    return None if first is None else chain([first], rows)


def none_readable(reasons: Mapping[str, str]) -> DataError:
    """The error about a corpus without a readable clip."""
    return DataError(f"none of {len(reasons)} clips can be read; {next(iter(reasons.values()))}")
