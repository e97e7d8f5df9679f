import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from earbit.audio.corpus import Corpus
from earbit.errors import DataError
from earbit.runtime import match
from earbit.runtime.match import document_scores
from earbit.superb.match import match_cases, run_match
from earbit.superb.qbe import QBE
from earbit.superb.search import Search, searches_of
from earbit.upstream.feature_store import ComputedFeatures
from earbit.upstream.features import FrozenFeatures


def unit(n, width, seed):
    frames = np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)
    return frames / np.linalg.norm(frames, axis=1, keepdims=True)


def warped_score(query, document):
    """The recurrence as it is written, in float64."""
    cosines = query.astype(np.float64) @ document.astype(np.float64).T
    d = np.exp(1 - cosines) - 1
    d = (d - d.min(axis=1, keepdims=True)) / (np.ptp(d, axis=1, keepdims=True) + 1e-30)
    g = np.full(d.shape, np.inf)
    for i in range(d.shape[0]):
        for j in range(d.shape[1]):
            before = [0.0] if i == 0 else [g[i - 1, j - k] for k in (0, 1, 2) if j - k >= 0]
            g[i, j] = d[i, j] + min(before)
    return -g[-1].min() / len(query)


@pytest.mark.parametrize("n_query", [5, 9, 30])
@pytest.mark.parametrize("lengths", [[40], [12, 1, 2, 3, 25], [7, 7, 7]])
def test_scores_are_those_of_the_recurrence_for_each_document_alone(n_query, lengths):
    query = unit(n_query, 6, seed=1)
    documents = [unit(n, 6, seed=10 + i) for i, n in enumerate(lengths)]
    got = document_scores(query, lengths, np.concatenate(documents))
    expected = [warped_score(query, document) for document in documents]
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_the_accumulated_distance_of_three_by_three_frames_by_hand():
    """Distances of rows [.1 .9 .5], [.8 .2 .7], [.9 .6 .1] as they are after scaling.

    Rows scaled to [0, 1]: [0 1 .5], [1 0 5/6], [1 .625 0].  From .1 over .2 to .1, the way is
    the diagonal: 0.
    """
    distances = np.array([[0.1, 0.9, 0.5], [0.8, 0.2, 0.7], [0.9, 0.6, 0.1]])
    # Unit documents along the axes, so that a query's cosines are its coordinates.
    cosines = 1 - np.log1p(distances)
    query = np.asarray(cosines, np.float32)
    got = document_scores(query, [3], np.eye(3, dtype=np.float32))
    assert got[0] == pytest.approx(0, abs=1e-6)
    # With the first two frames of the document alone: [0 1], [1 0], [1 0] ends at 0 as well; with
    # the last two: [1 0], [0 1], [1 0] has to stand still or go back, so one of them costs 1.
    got = document_scores(query[:, 1:], [2], np.eye(2, dtype=np.float32))
    assert got[0] == pytest.approx(-1 / 3, abs=1e-6)


def test_a_query_is_found_anywhere_in_a_document_also_at_half_and_twice_its_speed():
    query = unit(12, 8, seed=0)
    fast, slow = query[::2], np.repeat(query, 2, axis=0)
    noise = [unit(20, 8, seed=i) for i in range(1, 5)]
    documents = [
        np.concatenate([noise[0], query, noise[1]]),
        np.concatenate([noise[1], slow, noise[2]]),
        np.concatenate([noise[2], fast, noise[3]]),
        np.concatenate([noise[3], noise[0]]),
    ]
    scores = document_scores(query, [len(d) for d in documents], np.concatenate(documents))
    assert scores[0] == pytest.approx(0, abs=1e-6)
    # At twice its length every other frame is skipped, by steps of two.
    assert scores[1] == pytest.approx(0, abs=1e-6)
    assert scores[3] < scores[2] < scores[0]


def test_documents_never_mix():
    """A query whose halves are in two documents is in neither."""
    query = unit(20, 8, seed=0)
    filler = unit(15, 8, seed=1)
    split = [np.concatenate([filler, query[:10]]), np.concatenate([query[10:], filler])]
    whole = np.concatenate([filler, query, filler])
    lengths = [*map(len, split), len(whole)]
    scores = document_scores(query, lengths, np.concatenate([*split, whole]))
    assert scores[2] == pytest.approx(0, abs=1e-6)
    assert max(scores[:2]) < -0.02


# Cases.


def frozen(clips):
    n_states, _, width = next(iter(clips.values())).shape
    return FrozenFeatures(
        clips=clips, n_states=n_states, width=width, model_digest="m", corpus_digest="c"
    )


def spoken(seed=0, n_words=6, n_documents=24):
    """State 1 says words; state 0 says nothing that the two have in common."""
    rng = np.random.default_rng(seed)
    words = {f"W{i}": rng.normal(size=(8, 10)) for i in range(n_words)}
    clips, documents, queries = {}, {}, {}

    def clip(frames):
        said = frames + 0.2 * rng.normal(size=frames.shape)
        return np.stack([rng.normal(size=frames.shape), said]).astype(np.float32)

    for d in range(n_documents):
        inside = rng.choice(n_words, size=2, replace=False)
        parts = [words[f"W{i}"] for i in inside]
        clips[f"d{d}"] = clip(np.concatenate([rng.normal(size=(5, 10)), *parts]))
        documents[f"d{d}"] = frozenset(f"W{i}" for i in inside)
    for name, frames in words.items():
        clips[f"q{name}"] = clip(frames)
        queries[f"q{name}"] = name
    return frozen(clips), Search(queries, documents)


def test_scores_are_standardised_per_query_over_the_documents():
    features, search = spoken()
    cases = match_cases(features, search, layer=1)
    n = len(search.documents)
    assert len(cases.predictions) == n * len(search.queries)
    for k, query in enumerate(search.queries):
        rows = slice(k * n, (k + 1) * n)
        of_query = np.array(cases.predictions[rows])
        assert of_query.mean() == pytest.approx(0, abs=1e-6)
        assert of_query.std() == pytest.approx(1, abs=1e-5)
        assert set(cases.groups[rows]) == {query}
        term = search.queries[query]
        wanted = [term in terms for terms in search.documents.values()]
        assert list(cases.references[rows]) == wanted


def test_features_are_standardised_over_all_clips_of_the_search_first():
    """A constant and a scale of a dimension change nothing."""
    features, search = spoken()
    expected = match_cases(features, search, layer=1).predictions
    scale, shift = np.linspace(0.1, 9, 10), np.linspace(-50, 50, 10)
    moved = {i: (x * scale + shift).astype(np.float32) for i, x in features.clips.items()}
    got = match_cases(frozen(moved), search, layer=1).predictions
    np.testing.assert_allclose(got, expected, atol=1e-2)


def test_a_query_of_four_frames_scores_zero_for_every_document():
    features, search = spoken()
    clips = dict(features.clips)
    clips["qW0"] = clips["qW0"][:, :4]
    cases = match_cases(frozen(clips), search, layer=1)
    of_query = [s for s, g in zip(cases.predictions, cases.groups, strict=True) if g == "qW0"]
    assert of_query == [0.0] * len(search.documents)
    clips["qW0"] = features.clips["qW0"][:, :5]
    cases = match_cases(frozen(clips), search, layer=1)
    assert any(s for s, g in zip(cases.predictions, cases.groups, strict=True) if g == "qW0")


def test_documents_in_blocks_score_as_they_do_together(monkeypatch):
    features, search = spoken()
    expected = match_cases(features, search, layer=1).predictions
    monkeypatch.setattr(match, "BLOCK_FRAMES", 30)
    got = match_cases(features, search, layer=1).predictions
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_constant_state_is_no_crash():
    features, search = spoken()
    flat = frozen({i: np.ones_like(x) for i, x in features.clips.items()})
    assert set(match_cases(flat, search, layer=0).predictions) == {0.0}


def test_the_layer_is_picked_on_the_validation_queries_and_words_are_found():
    features, search = spoken()
    score = run_match(QBE, features, {"valid": search, "test": search}, seed=0)
    assert score["layer"] == 1
    assert score["value"] == score["valid_value"] == max(score["layers"]) > 0.8
    assert score["layers"][0] < 0.3
    low, high = score["interval"]
    assert low <= score["value"] <= high
    assert (score["n_queries"], score["n_documents"]) == (6, 24)
    assert score["interval_over"] == "6 queries"
    # At the threshold of the best value, every query has its documents and few others.
    cases = match_cases(features, search, layer=1)
    is_match = np.array(cases.references)
    is_found = np.array(cases.predictions) >= score["threshold"]
    assert is_found[is_match].mean() > 0.9
    assert is_found[~is_match].mean() < 0.01


def test_progress_counts_every_pair_of_every_layer_and_of_the_test(monkeypatch):
    counted = []

    @contextmanager
    def progress(title, total):
        yield lambda n, note: counted.append((n, total))

    features, search = spoken()
    monkeypatch.setattr("earbit.superb.match.progress", progress)
    monkeypatch.setattr("earbit.runtime.match.BLOCK_FRAMES", 200)
    run_match(QBE, features, {"valid": search, "test": search}, seed=0)
    assert sum(n for n, _ in counted) == counted[0][1] == (features.n_states + 1) * 6 * 24
    assert max(n for n, _ in counted) < 24


def test_the_best_layer_of_the_test_queries_is_not_looked_at():
    features, test = spoken()
    clips = dict(features.clips)
    # For the validation queries, the states are swapped.
    valid = Search({}, test.documents)
    for name, term in test.queries.items():
        clips[f"v{name}"] = clips[name][::-1].copy()
        valid.queries[f"v{name}"] = term
    swapped = {f"v{i}": clips[i][::-1].copy() for i in test.documents}
    valid = Search(valid.queries, {f"v{i}": terms for i, terms in test.documents.items()})
    searches = {"valid": valid, "test": test}
    score = run_match(QBE, frozen(clips | swapped), searches, seed=0)
    assert score["layer"] == 0
    assert score["value"] < 0.3 < score["valid_value"]


# Searches of a corpus.


def corpus(*labels):
    cuts = [
        SimpleNamespace(id=f"{i}", custom=label, supervisions=[]) for i, label in enumerate(labels)
    ]
    return Corpus("notes", Path("nowhere"), cuts, (), "digest")


def test_queries_and_documents_by_their_labels():
    searches = searches_of(
        corpus(
            {"query": "Lamp", "split": "valid"},
            {"query": "fan", "split": "test"},
            {"query": "fan", "split": "train"},
            {"query": "fan"},
            {"text": "turn the lamp on"},
            {"text": "the fan", "split": "train"},
            {"terms": ["Fan", "living room"], "split": "test"},
            {"terms": [], "text": "fan lamp", "split": "valid"},
            {"keyword": "yes"},
            None,
        )
    )
    assert searches["valid"].queries == {"0": "LAMP"}
    assert searches["test"].queries == {"1": "FAN"}
    both = {"4": {"TURN", "THE", "LAMP", "ON"}, "5": {"THE", "FAN"}}
    assert searches["valid"].documents == {**both, "7": set()}
    assert searches["test"].documents == {**both, "6": {"FAN", "LIVING ROOM"}}


@pytest.mark.parametrize(
    ("labels", "counts"),
    [
        ([], "0 valid queries and 0 documents"),
        ([{"query": "fan", "split": "valid"}], "1 valid queries and 0 documents"),
        (
            [{"query": "fan", "split": "valid"}, {"text": "a lamp"}],
            "1 valid queries and 1 documents",
        ),
        (
            [{"query": "fan", "split": "valid"}, {"text": "a fan"}, {"text": "a lamp"}],
            "0 test queries and 2 documents",
        ),
        ([{"query": 3, "split": "valid"}, {"text": 4, "terms": {}}], "0 valid queries and 0 doc"),
    ],
)
def test_a_search_without_a_match_is_an_error_that_counts(labels, counts):
    with pytest.raises(DataError, match=f"{counts}.*need `query` and `split` valid or test"):
        searches_of(corpus(*labels))


def test_a_block_of_documents_is_in_memory_at_a_time_and_one_state_of_a_clip(monkeypatch):
    """200 documents of 100 frames x 32 values: 2.6 MB a state, in blocks of 0.13 MB."""
    rng = np.random.default_rng(0)
    written = {f"d{i}": rng.normal(size=(4, 100, 32)).astype(np.float32) for i in range(200)}
    written |= {f"q{i}": rng.normal(size=(4, 6, 32)).astype(np.float32) for i in range(3)}
    store = ComputedFeatures(lambda i: written[i].copy())
    store.add(written)
    search = Search(
        {f"q{i}": "W" for i in range(3)}, {f"d{i}": frozenset("W" * (i % 2)) for i in range(200)}
    )
    expected = match_cases(frozen(written), search, 2).predictions
    monkeypatch.setattr(match, "BLOCK_FRAMES", 1_000)
    features = FrozenFeatures(
        clips=store, n_states=4, width=32, model_digest="m", corpus_digest="c"
    )
    tracemalloc.start()
    got = match_cases(features, search, 2).predictions
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert peak < 1.3e6
