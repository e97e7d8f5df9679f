"""Differences of scores on the same test clips, against a paired bootstrap of scipy."""

import json
import re

import numpy as np
import pytest
from scipy.stats import bootstrap

from earbit.errors import FormatError
from earbit.heads.cases import Cases
from earbit.heads.differences import ScoredMetric
from earbit.leaderboard.table import compare
from earbit.superb.asr import ASR
from earbit.superb.ks import KS
from earbit.superb.scores import scored

N_CLIPS = 400
RIGHT, WRONG = "up", "no"


def hits(shares=(0.84, 0.95)):
    """Whether models are right: a clip has a difficulty for all of them."""
    rng = np.random.default_rng(0)
    difficulty = rng.normal(size=N_CLIPS)
    seen = [difficulty + 0.5 * rng.normal(size=N_CLIPS) for _ in shares]
    return [s < np.quantile(s, share) for s, share in zip(seen, shares, strict=True)]


def score_of(right, task=KS, groups=None, **changes):
    predictions = [RIGHT if hit else WRONG for hit in right]
    groups = groups or [f"clip {i}" for i in range(N_CLIPS)]
    of = Cases(predictions, [RIGHT] * N_CLIPS, groups)
    return {"n_test": N_CLIPS, "corpus_digest": "c", **scored(task, of), **changes}


def minus(score, other):
    return ScoredMetric.of(score, "accuracy").minus(ScoredMetric.of(other, "accuracy"))


def written(root, name, score):
    path = root / name / "scores.json"
    path.parent.mkdir()
    path.write_text(json.dumps(score))
    return path.parent


def test_the_interval_of_a_difference_is_that_of_a_paired_bootstrap():
    worse, better = hits()
    found = minus(score_of(better), score_of(worse))
    of_clips = better.astype(float) - worse
    judge = bootstrap((of_clips,), np.mean, method="percentile", rng=0).confidence_interval
    assert found.value == pytest.approx(of_clips.mean())
    width = judge.high - judge.low
    assert (found.low, found.high) == pytest.approx((judge.low, judge.high), abs=0.1 * width)
    without = minus(score_of(better, resampled=""), score_of(worse))
    assert without.high - without.low > 1.2 * (found.high - found.low)


@pytest.mark.parametrize(
    "other",
    [
        {"n_test": 399},
        {"corpus_digest": "d"},
        {"interval_over": "7 speakers"},
        {"groups": [f"clip {i + 1}" for i in range(N_CLIPS)]},
    ],
    ids=lambda other: next(iter(other)),
)
def test_scores_of_other_clips_have_no_difference(other, tmp_path):
    worse, better = hits()
    assert minus(score_of(better, **other), score_of(worse)) is None
    folders = [written(tmp_path, "a", score_of(worse)), written(tmp_path, "b", score_of(better))]
    folders.append(written(tmp_path, "c", score_of(better, **other)))
    text, rows = compare(folders, None)
    assert text.splitlines()[-1].endswith("other test clips")
    assert rows[2]["differences"] == {"ks accuracy": None}


def test_a_report_has_the_differences_from_the_first_model(tmp_path):
    worse, better = hits()
    tuned = {"finetuned": True}
    scores = {"a": score_of(worse), "b": score_of(better, **tuned), "c": score_of(worse)}
    folders = [written(tmp_path, name, of) for name, of in scores.items()]
    text, rows = compare(folders, None)
    _, table = text.split("Differences from a (no protocol), on the same test clips:\n")
    lines = [" ".join(line.split()) for line in table.splitlines()]
    points = 100 * (better.mean() - worse.mean())
    start = f"ks accuracy b fine-tuned, not SUPERB +{points:.2f} points +"
    assert lines[1].startswith(start)
    assert lines[1].endswith(" better")
    assert re.fullmatch(r"ks accuracy c 0\.00 points \S+ to \S+ not clear", lines[2])
    assert [row["differences"] for row in rows[:1]] == [{}]
    assert rows[1]["differences"]["ks accuracy"]["value"] == pytest.approx(points / 100)
    assert rows[1]["differences"]["ks accuracy"]["is_paired"]
    assert "Differences" not in compare(folders[:1], None)[0]


def test_where_less_is_better_a_higher_score_is_worse(tmp_path):
    scores = dict(zip("ab", hits(), strict=True))
    folders = [written(tmp_path, name, score_of(of, ASR)) for name, of in scores.items()]
    last = compare(folders, None)[0].splitlines()[-1]
    assert last.split()[:3] == ["wer", "b", "-11.00"]
    assert last.endswith("better")


def test_a_score_without_samples_is_marked_and_one_without_interval_has_no_verdict(tmp_path):
    worse, better = hits()
    (old := score_of(better)).pop("resampled")
    none = score_of(better, intervals={"accuracy": None})
    folders = [written(tmp_path, "a", score_of(worse))]
    folders += [written(tmp_path, "old", old), written(tmp_path, "none", none)]
    lines = compare(folders, None)[0].splitlines()[-2:]
    assert lines[0].endswith("better (unpaired)")
    assert lines[1].endswith("no interval")


@pytest.mark.parametrize(
    "damage",
    [
        {"resampled": "0.5 half"},
        {"intervals": {"accuracy": ["low", "high"]}},
        {"intervals": {"accuracy": [0.1]}},
        {"metrics": {"accuracy": None}},
    ],
    ids=str,
)
def test_a_damaged_score_is_a_format_error(damage, tmp_path):
    folder = written(tmp_path, "a", score_of(hits()[0], **damage))
    with pytest.raises(FormatError, match=r"a/scores.json: not a score of earbit superb"):
        compare([folder], None)
