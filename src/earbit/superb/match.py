"""Scores documents for spoken queries by dynamic time warping of frozen features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from earbit.heads.cases import Cases
from earbit.heads.metrics import METRICS, term_weighted_threshold
from earbit.progress import progress
from earbit.runtime.match import match_scores
from earbit.superb.scores import origin, scored
from earbit.superb.search import PARTS, Search
from earbit.superb.task import Task
from earbit.upstream.feature_store import Array, Clips, state_of
from earbit.upstream.features import FrozenFeatures


def run_match(
    task: Task,
    features: FrozenFeatures,
    searches: Mapping[str, Search],
    *,
    seed: int,
) -> dict[str, Any]:
    """Picks the layer on the validation queries, scores the test queries, returns the score."""
    metric = METRICS[task.metrics[0]]
    values, thresholds = [], []
    n_valid, n_test = (searches[part].n_pairs for part in PARTS)
    total = features.n_states * n_valid + n_test
    with progress(f"{task.name} pairs of query and document", total) as advance:
        note = ""
        for layer in range(features.n_states):
            cases = match_cases(features, searches["valid"], layer, partial(advance, note=note))
            values.append(metric.of(cases))
            thresholds.append(term_weighted_threshold(cases))
            note = f"layer {layer}: {task.metrics[0]} {values[-1]:.4g} on valid"
        layer = int(np.argmax(values))
        cases = match_cases(features, searches["test"], layer, partial(advance, note="test"))
    return {
        **scored(task, cases),
        "valid_value": values[layer],
        "layer": layer,
        "layers": values,
        "threshold": thresholds[layer],
        "n_queries": len(searches["test"].queries),
        "n_documents": len(searches["test"].documents),
        "seed": seed,
        **origin(task, features, {}),
    }


def match_cases(
    features: FrozenFeatures,
    search: Search,
    layer: int,
    advance: Callable[[int], object] = lambda n: None,
) -> Cases:
    """Scores of all pairs of query and document by one hidden state; a query is a group.

    advance: called with the number of pairs that were compared.
    """
    queries = [state_of(features.clips, i, layer) for i in search.queries]
    documents = _States(features.clips, search.documents, layer)
    scores: list[float] = []
    matches: list[bool] = []
    for term, of_query in zip(
        search.queries.values(), match_scores(queries, documents, advance), strict=True
    ):
        scores += of_query.tolist()
        matches += [term in terms for terms in search.documents.values()]
    groups = [name for name in search.queries for _ in search.documents]
    return Cases(scores, matches, groups)


@dataclass(frozen=True, slots=True)
class _States(Iterable[Array]):
    """A hidden state of clips, read when it is asked for."""

    clips: Clips
    ids: Iterable[str]
    layer: int

    def __iter__(self) -> Iterator[Array]:
        return (state_of(self.clips, i, self.layer) for i in self.ids)
