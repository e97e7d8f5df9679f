"""Search of documents for spoken queries by dynamic time warping of features.

Letters: Q frames of a query, M frames of all documents, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

MIN_QUERY_FRAMES = 5
"""Shorter queries score 0 for every document."""
FLOOR = 1e-9
"""Minimum standard deviation of features and scores."""
BLOCK_FRAMES = 100_000
"""Frames of documents that are compared with a query at a time."""
Array = NDArray[np.float32]


def match_scores(queries: Sequence[Array], documents: Sequence[Array]) -> Iterator[Array]:
    """Scores of all documents for each query, standardised over the documents: (documents,).

    queries, documents: features (frames, D), which are first standardised per dimension over all
    of them.  A score tells how much better a document matches than the others do, in standard
    deviations.
    """
    mean_D, scale_D = _moments([*queries, *documents])
    blocks = []
    for some in _blocks(documents):
        frames = np.concatenate([(document - mean_D) / scale_D for document in some])
        blocks.append(([len(document) for document in some], _directions(frames)))
    for query in queries:
        if len(query) < MIN_QUERY_FRAMES:
            yield np.zeros(len(documents), np.float32)
            continue
        query_QD = _directions((query - mean_D) / scale_D)
        raw = np.concatenate([document_scores(query_QD, *block) for block in blocks])
        yield (raw - raw.mean()) / max(FLOOR, float(raw.std()))


def document_scores(query_QD: Array, lengths: Sequence[int], documents_MD: Array) -> Array:
    """Minus the warped distance of a query to its nearest part of each document.

    query_QD, documents_MD: unit vectors; the frames of the documents follow each other.  The
    distance of two frames is exp(1 - cosine) - 1, scaled to [0, 1] over each document.  The step
    pattern is `asymmetric` of dtw, with both ends of the document open,
    g(i, j) = d(i, j) + min(g(i-1, j), g(i-1, j-1), g(i-1, j-2)),
    and the end is divided by the frames of the query.
    """
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    distances_QM = np.expm1(1 - query_QD @ documents_MD.T)
    low = np.minimum.reduceat(distances_QM, starts, axis=1)
    span = np.maximum.reduceat(distances_QM, starts, axis=1) - low
    span = np.maximum(span, FLOOR)
    distances_QM -= np.repeat(low, lengths, axis=1)
    distances_QM /= np.repeat(span, lengths, axis=1)
    offset_M = np.arange(len(documents_MD)) - np.repeat(starts, lengths)
    reached_M = distances_QM[0].copy()
    for row_M in distances_QM[1:]:
        best_M = reached_M.copy()
        for step in (1, 2):
            moved_M = np.full_like(reached_M, np.inf)
            moved_M[step:] = reached_M[:-step]
            moved_M[offset_M < step] = np.inf  # the frames before belong to another document
            np.minimum(best_M, moved_M, out=best_M)
        reached_M = row_M + best_M
    nearest: Array = np.minimum.reduceat(reached_M, starts)
    return np.asarray(-nearest / len(query_QD), np.float32)


def _blocks(documents: Sequence[Array]) -> list[list[Array]]:
    """Documents in order, in blocks of about BLOCK_FRAMES frames."""
    blocks: list[list[Array]] = [[]]
    n_frames = 0
    for document in documents:
        if n_frames > BLOCK_FRAMES:
            blocks.append([])
            n_frames = 0
        blocks[-1].append(document)
        n_frames += len(document)
    return blocks


def _moments(clips: Sequence[Array]) -> tuple[Array, Array]:
    """Mean and standard deviation of every dimension over all frames."""
    n = sum(map(len, clips))
    mean_D = sum(clip.sum(axis=0, dtype=np.float64) for clip in clips) / n
    squares_D = sum(((clip - mean_D) ** 2).sum(axis=0) for clip in clips) / n
    return np.asarray(mean_D, np.float32), np.asarray(np.sqrt(squares_D).clip(FLOOR), np.float32)


def _directions(frames_ND: Array) -> Array:
    norms = np.linalg.norm(frames_ND, axis=1, keepdims=True)
    return np.asarray(frames_ND / np.maximum(norms, FLOOR), np.float32)
