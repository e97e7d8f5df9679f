"""Correlations of the errors of rows that were scored on the same clips."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from earbit.heads.cases import Cases
from earbit.heads.metrics import METRICS
from earbit.study.correlations import correlations_of
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


def test_means_over_seeds_are_compared():
    hits = models(n_models=4)
    of = [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    rows = [(row(e, seed=s), score_of(h)) for (e, s), h in zip(of, hits, strict=True)]
    (found,) = correlations_of(rows)
    samples = [METRICS["accuracy"].resampled(Cases(h, [True] * 400, range(400))) for h in hits]
    first, second = (np.mean(samples[i : i + 2], axis=0) for i in (0, 2))
    assert found["rows"] == [{"encoder": e, "plan": "fp32"} for e in "ab"]
    assert found["values"][0][1] == pytest.approx(np.corrcoef(first, second)[0, 1], abs=0.1)


@pytest.mark.parametrize(
    "changes",
    [{"resampled": ""}, {"n_test": 399}, {"interval_over": "9 speakers"}],
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


def test_a_row_whose_samples_do_not_differ_has_no_correlation():
    first, second, _ = models()
    always = np.ones(400, bool)
    rows = [(row("a"), score_of(first)), (row("b"), score_of(always)), (row("c"), score_of(second))]
    (found,) = correlations_of(rows)
    assert [one["encoder"] for one in found["rows"]] == ["a", "c"]
    assert not list(correlations_of(rows[:2]))


def test_scores_of_earlier_versions_have_no_samples():
    old = score_of(models()[0])
    del old["resampled"]
    assert not list(correlations_of([(row("a"), old)]))
