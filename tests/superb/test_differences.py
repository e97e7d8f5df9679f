"""Differences of scores on the same test clips, against a paired bootstrap of scipy."""

import json

import numpy as np
import pytest
from scipy.stats import bootstrap

from earbit.errors import FormatError
from earbit.heads.cases import Cases
from earbit.heads.differences import difference
from earbit.leaderboard.table import compare
from earbit.superb.ks import KS
from earbit.superb.scores import scored

N_CLIPS = 400


def hits(n_models=2):
    """Whether models are right: a clip has a difficulty for all of them."""
    rng = np.random.default_rng(0)
    difficulty = rng.normal(size=N_CLIPS)
    return [difficulty + 0.5 * rng.normal(size=N_CLIPS) < 0.3 + 0.3 * m for m in range(n_models)]


def score_of(right, **changes):
    predictions = ["up" if hit else "no" for hit in right]
    of = Cases(predictions, ["up"] * N_CLIPS, [f"clip {i}" for i in range(N_CLIPS)])
    return {"n_test": N_CLIPS, "corpus_digest": "c", **scored(KS, of), **changes}


def written(root, name, score):
    path = root / name / "scores.json"
    path.parent.mkdir()
    path.write_text(json.dumps(score))
    return path.parent


def test_the_interval_of_a_difference_is_that_of_a_paired_bootstrap():
    worse, better = hits()
    found = difference(score_of(better), score_of(worse))
    of_clips = better.astype(float) - worse
    judge = bootstrap((of_clips,), np.mean, method="percentile", rng=0).confidence_interval
    assert found.value == pytest.approx(of_clips.mean())
    assert found.high - found.low == pytest.approx(judge.high - judge.low, rel=0.15)
    without = difference(score_of(better, resampled=""), score_of(worse, resampled=""))
    assert without.high - without.low > 1.4 * (found.high - found.low)


@pytest.mark.parametrize(
    "other",
    [
        {"n_test": 399},
        {"corpus_digest": "d"},
        {"interval_over": "7 speakers"},
        {"task": "er"},
        {"resampled": "0.5 0.5"},
    ],
)
def test_scores_of_other_clips_have_no_difference(other):
    worse, better = hits()
    assert difference(score_of(better, **other), score_of(worse)) is None


def test_a_report_has_the_differences_from_the_first_model(tmp_path):
    worse, better = hits()
    scores = {"a": worse, "b": better, "c": worse}
    folders = [written(tmp_path, name, score_of(of)) for name, of in scores.items()]
    folders.append(written(tmp_path, "d", score_of(better, n_test=399)))
    text, rows = compare(folders, None)
    _, table = text.split("Differences from a, on the same test clips:\n")
    found = difference(score_of(better), score_of(worse))
    value, *ends = (f"{100 * v:.2f}" for v in (found.value, found.low, found.high))
    lines = [" ".join(line.split()) for line in table.splitlines()[1:]]
    assert lines[0] == f"ks accuracy (%) b {value} {ends[0]} to {ends[1]} better"
    assert lines[1].startswith("ks accuracy (%) c 0.00 ")
    assert lines[1].endswith(" not clear")
    assert len(lines) == 2
    assert "differences" not in rows[0]
    assert rows[1]["differences"]["ks accuracy"] == {
        "value": found.value,
        "interval": [found.low, found.high],
        "verdict": "better",
    }
    assert rows[3]["differences"] == {}
    assert "Differences" not in compare(folders[:1], None)[0]


def test_where_less_is_better_a_higher_score_is_worse(tmp_path):
    scores = dict(zip("ab", hits(), strict=True))
    folders = [
        written(tmp_path, name, score_of(of, higher_is_better=False)) for name, of in scores.items()
    ]
    assert compare(folders, None)[0].splitlines()[-1].endswith("worse")


def test_samples_that_are_no_numbers_are_a_format_error(tmp_path):
    folder = written(tmp_path, "a", score_of(hits()[0], resampled="0.5 half"))
    with pytest.raises(FormatError, match=r"a/scores.json: not a score of earbit superb"):
        compare([folder], None)
