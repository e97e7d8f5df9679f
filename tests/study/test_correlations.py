"""Correlations of the errors of rows that were scored on the same clips."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from earbit.heads.cases import N_KEPT, Cases
from earbit.heads.metrics import METRICS
from earbit.study.correlations import correlations_of
from earbit.study.report.compare import comparison_of
from earbit.study.report.rows import Study
from earbit.superb.ks import KS
from earbit.superb.scores import scored


def models(n_clips=400, n_models=3):
    """Predictions of models that share errors: a clip has a difficulty for all of them."""
    rng = np.random.default_rng(0)
    difficulty = rng.normal(size=n_clips)
    return [difficulty + 0.5 * rng.normal(size=n_clips) < 0.3 * m for m in range(n_models)]


def score_of(hits, **changes):
    predictions = ["up" if hit else "no" for hit in hits]
    groups = [f"clip {i}" for i in range(len(hits))]
    of = Cases(predictions, ["up"] * len(hits), groups)
    return {"n_test": len(hits), **scored(KS, of), **changes}


def row(encoder, plan="fp32", seed=0):
    return {"encoder": encoder, "plan": plan, "seed": seed, "task": "ks"}


def test_the_interval_of_a_difference_is_that_of_a_paired_bootstrap():
    hits = models()
    scores = [(row(f"e{m}"), score_of(h)) for m, h in enumerate(hits)]
    study = Study(
        {
            "scores": [{**r, **s} for r, s in scores],
            "correlations": list(correlations_of(scores)),
        }
    )
    found = study.score("e2", "fp32", "ks").gain_over(study.score("e0", "fp32", "ks"))
    difference = hits[2].astype(float) - hits[0]
    judge = bootstrap((difference,), np.mean, method="percentile", rng=0).confidence_interval
    assert found.value == pytest.approx(difference.mean())
    assert found.high - found.low == pytest.approx(judge.high - judge.low, rel=0.15)
    independent = Study({"scores": study.results["scores"]})
    wider = independent.score("e2", "fp32", "ks").gain_over(independent.score("e0", "fp32", "ks"))
    assert wider.high - wider.low > 1.4 * (found.high - found.low)


def test_trainings_of_the_same_seed_are_compared():
    """The correlation is that of single trainings: the mean over seeds varies less."""
    hits = models(n_models=4)
    of = [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    rows = [(row(e, seed=s), score_of(h)) for (e, s), h in zip(of, hits, strict=True)]
    (found,) = correlations_of(rows)
    samples = [METRICS["accuracy"].resampled(Cases(h, [True] * 400, range(400))) for h in hits]
    of_seed = [np.corrcoef(samples[i][:N_KEPT], samples[i + 2][:N_KEPT])[0, 1] for i in (0, 1)]
    assert found["rows"] == [{"encoder": e, "plan": "fp32"} for e in "ab"]
    assert found["values"][0][1] == pytest.approx(np.mean(of_seed), abs=0.01)
    assert [values[i] for i, values in enumerate(found["values"])] == [1.0, 1.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"resampled": ""},
        {"n_test": 399},
        {"interval_over": "9 speakers"},
        {"corpus_digest": "another"},
    ],
)
def test_rows_without_samples_of_the_same_clips_are_left_out(changes):
    first, second, third = models()
    rows = [
        (row("a"), score_of(first)),
        (row("b"), score_of(second)),
        (row("c"), score_of(third, **changes)),
    ]
    (found,) = correlations_of(rows)
    assert [one["encoder"] for one in found["rows"]] == ["a", "b"]


def test_samples_without_a_value_change_no_other_pair():
    """A row with two values, or with none that differ, has no correlation with any."""
    first, second, _ = models()
    few = " ".join(["0.1", "0.2", *["nan"] * (N_KEPT - 2)])
    rows = [
        (row("a"), score_of(first)),
        (row("b"), score_of(second)),
        (row("c"), score_of(first, resampled=few)),
        (row("d"), score_of(np.ones(400, bool))),
    ]
    (alone,) = correlations_of(rows[:2])
    (found,) = correlations_of(rows)
    assert 0.3 < alone["values"][0][1] < 0.95
    r = alone["values"][0][1]
    assert found["values"] == [[1, r, 0, 0], [r, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_scores_of_earlier_versions_have_no_samples():
    first, second, third = models()
    old = score_of(first)
    del old["resampled"]
    assert not list(correlations_of([(row("a"), old)]))
    rows = [(row("a"), old), (row("b"), score_of(second)), (row("c"), score_of(third))]
    (found,) = correlations_of(rows)
    assert [one["encoder"] for one in found["rows"]] == ["b", "c"]


@pytest.mark.parametrize(
    "record", [{}, {"rows": None}, {"rows": [{"encoder": "a"}], "values": [7]}]
)
def test_incomplete_correlations_leave_scores_independent(record):
    scores = [{**row(e), **score_of(h)} for e, h in zip("ab", models(), strict=False)]
    plain, incomplete = (
        Study({"scores": scores, "correlations": c}) for c in ([], [{"task": "ks", **record}])
    )
    gains = [
        s.score("b", "fp32", "ks").gain_over(s.score("a", "fp32", "ks"))
        for s in (plain, incomplete)
    ]
    assert gains[0] == gains[1]


def test_a_row_differs_from_itself_by_nothing_and_from_that_of_another_study_by_chance():
    hits = models()
    scores = [(row(f"e{m}"), score_of(h)) for m, h in enumerate(hits)]
    study = Study(
        {
            "settings": {"encoders": ["e0"], "plans": ["fp32"]},
            "scores": [{**r, **s} for r, s in scores],
            "correlations": list(correlations_of(scores)),
        }
    )
    score = study.score("e0", "fp32", "ks")
    same = score.gain_over(score)
    assert (same.low, same.high) == pytest.approx((0, 0), abs=0.02)
    total = comparison_of(study, study).total
    assert (total.better, total.worse) == ((), ())
    assert len(total.unclear) == 3
