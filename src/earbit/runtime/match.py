"""Search of documents for spoken queries by dynamic time warping of features.

Letters: Q frames of a query, M frames of all documents, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

MIN_QUERY_FRAMES = 5
"""Shorter queries score 0 for every document."""
FLOOR = 1e-9
"""Minimum standard deviation of features and scores."""
BLOCK_FRAMES = 100_000
"""Frames of documents that are compared with a query at a time."""
Array = NDArray[np.float32]


def match_scores(
    queries: Sequence[Array],
    documents: Iterable[Array],
    advance: Callable[[int], object] = lambda n: None,
) -> Iterator[Array]:
    """Scores of all documents for each query, standardised over the documents: (documents,).

    queries, documents: features (frames, D), which are first standardised per dimension over all
    of them.  Documents are iterated twice and a block of them is kept at a time, so that they may
    be read when they are asked for.  advance: called with the number of documents each time that a
    query was compared with some.  A score tells how much better a document matches than the others
    do, in standard deviations.
    """
    mean_D, scale_D = _moments(chain(queries, documents))
    directions = [_directions((query - mean_D) / scale_D) for query in queries]
    parts: list[list[Array]] = [[] for _ in queries]
    n_documents = 0
    for some in _blocks(documents):
        frames_MD = _directions(np.concatenate([(one - mean_D) / scale_D for one in some]))
        lengths = [len(document) for document in some]
        n_documents += len(some)
        for query_QD, of_query in zip(directions, parts, strict=True):
            if len(query_QD) >= MIN_QUERY_FRAMES:
                of_query.append(document_scores(query_QD, lengths, frames_MD))
            advance(len(some))
    for of_query in parts:
        raw = np.concatenate(of_query) if of_query else np.zeros(n_documents, np.float32)
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


def _blocks(documents: Iterable[Array]) -> Iterator[list[Array]]:
    """Documents in order, in blocks of about BLOCK_FRAMES frames."""
    block: list[Array] = []
    for document in documents:
        block.append(document)
        if sum(map(len, block)) > BLOCK_FRAMES:
            yield block
            block = []
    if block:
        yield block


def _moments(clips: Iterable[Array]) -> tuple[Array, Array]:
    """Mean and standard deviation of every dimension over all frames, in one pass over the clips.

    The moments of each clip are merged with those before it (Chan et al. 1979).
    """
    n, mean_D, squares_D = 0, np.zeros(1), np.zeros(1)
    for clip in clips:
        own_D, total = clip.mean(axis=0, dtype=np.float64), n + len(clip)
        gap_D = own_D - mean_D
        squares_D = squares_D + ((clip - own_D) ** 2).sum(axis=0) + gap_D**2 * n * len(clip) / total
        mean_D = mean_D + gap_D * len(clip) / total
        n = total
    deviation_D = np.sqrt(squares_D / max(n, 1)).clip(FLOOR)
    return np.asarray(mean_D, np.float32), np.asarray(deviation_D, np.float32)


def _directions(frames_ND: Array) -> Array:
    norms = np.linalg.norm(frames_ND, axis=1, keepdims=True)
    return np.asarray(frames_ND / np.maximum(norms, FLOOR), np.float32)
