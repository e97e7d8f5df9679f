"""Scores documents for spoken queries by dynamic time warping of frozen features.

Letters: Q frames of a query, M frames of all documents, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.files import make_folder, write_json
from earbit.heads.cases import Cases
from earbit.progress import progress
from earbit.superb.features import FrozenFeatures
from earbit.superb.metrics import METRICS
from earbit.superb.runner import origin, scored
from earbit.superb.search import Search
from earbit.superb.task import Task

MIN_QUERY_FRAMES = 5
"""Shorter queries score 0 for every document."""
FLOOR = 1e-9
"""Minimum standard deviation of features and scores."""
BLOCK_FRAMES = 100_000
"""Frames of documents that are compared with a query at a time."""
Array = NDArray[np.float32]


def run_match(
    task: Task,
    features: FrozenFeatures,
    searches: Mapping[str, Search],
    out_dir: Path,
    *,
    seed: int,
    summary: Mapping[str, Any],
) -> dict[str, Any]:
    """Picks the layer on the validation queries, scores the test queries, writes scores.json."""
    metric = METRICS[task.metrics[0]]
    values = []
    with progress(f"{task.name} layers", features.n_states) as advance:
        for layer in range(features.n_states):
            values.append(metric.of(match_cases(features, searches["valid"], layer)))
            advance(1, f"layer {layer}: {task.metrics[0]} {values[-1]:.4g} on valid")
    layer = int(np.argmax(values))
    cases = match_cases(features, searches["test"], layer)
    score = {
        **scored(task, cases, seed),
        "valid_value": values[layer],
        "layer": layer,
        "layers": values,
        "n_queries": len(searches["test"].queries),
        "n_documents": len(searches["test"].documents),
        "seed": seed,
        **origin(task, features, summary),
    }
    write_json(make_folder(out_dir) / "scores.json", score)
    return score


def match_cases(features: FrozenFeatures, search: Search, layer: int) -> Cases:
    """Scores of all pairs of query and document, standardised per query over the documents.

    Features of the layer are first standardised per dimension over all clips.  The documents of a
    query are a group.
    """
    documents = list(search.documents)
    mean_D, scale_D = _moments([features.clips[i][layer] for i in (*search.queries, *documents)])
    blocks = []
    for names in _blocks(documents, features):
        frames = [(features.clips[i][layer] - mean_D) / scale_D for i in names]
        blocks.append(([len(f) for f in frames], _directions(np.concatenate(frames))))
    scores: list[float] = []
    matches: list[bool] = []
    groups: list[str] = []
    for name, term in search.queries.items():
        query_QD = _directions((features.clips[name][layer] - mean_D) / scale_D)
        if len(query_QD) < MIN_QUERY_FRAMES:
            of_query = np.zeros(len(documents))
        else:
            parts = [document_scores(query_QD, lengths, frames) for lengths, frames in blocks]
            raw = np.concatenate(parts)
            of_query = (raw - raw.mean()) / max(FLOOR, float(raw.std()))
        scores += of_query.tolist()
        matches += [term in search.documents[i] for i in documents]
        groups += [name] * len(documents)
    return Cases(scores, matches, groups)


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


def _blocks(documents: Sequence[str], features: FrozenFeatures) -> list[list[str]]:
    """Documents in order, in blocks of about BLOCK_FRAMES frames."""
    blocks: list[list[str]] = [[]]
    n_frames = 0
    for name in documents:
        if n_frames > BLOCK_FRAMES:
            blocks.append([])
            n_frames = 0
        blocks[-1].append(name)
        n_frames += features.clips[name].shape[1]
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
