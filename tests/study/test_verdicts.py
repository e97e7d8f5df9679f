"""Chance, and the rows that a study marks."""

import pytest

from earbit.audio.folds import fold_splits
from earbit.heads.example import Example
from earbit.study.report.warnings import grouped
from earbit.study.verdicts import chance_of, is_at_chance, warnings_of


def score(plan="w1a1", value=0.5, interval=None, **more):
    return {
        "encoder": "a",
        "plan": plan,
        "seed": 0,
        "task": "ks",
        "metric": "accuracy",
        "higher_is_better": True,
        "value": value,
        "interval": interval,
        "chance": 0.25,
        **more,
    }


def training(accuracy, share):
    row = {"encoder": "a", "plan": "fp32", "seed": 0, "n_steps": 9}
    return {**row, "valid_accuracy": accuracy, "commonest_unit": share}


def test_chance_of_an_accuracy_is_the_commonest_class_of_the_test_clips():
    classes = {"yes": {"train": 90, "test": 1}, "no": {"test": 6}, "up": {"test": 3}}
    assert chance_of({"metric": "accuracy", "splits": {"classes": classes}}) == 0.6
    assert chance_of({"metric": "accuracy", "splits": {}}) is None


def test_chance_of_an_accuracy_over_folds_is_the_commonest_class_of_all_their_test_clips():
    examples = [
        Example(id=f"{fold}-{name}-{i}", target=name, speaker=fold)
        for fold in ("a", "b")
        for name, n in (("ang", 6), ("hap", 2))
        for i in range(n)
    ]
    splits = fold_splits(examples, {one.id: one.speaker for one in examples})
    assert chance_of({"metric": "accuracy", "splits": splits.summary}) == 0.75


@pytest.mark.parametrize(
    ("metric", "chance"), [("eer", 0.5), ("wer", 1.0), ("per", 1.0), ("der", 1.0), ("mtwv", 0.0)]
)
def test_chance_of_other_metrics_is_that_of_an_output_without_content(metric, chance):
    assert chance_of({"metric": metric}) == chance


@pytest.mark.parametrize(
    ("value", "interval", "is_chance"),
    [
        (0.40, [0.30, 0.50], False),
        (0.40, [0.24, 0.56], True),
        (0.26, None, False),
        (0.25, None, True),
        (0.10, [0.05, 0.15], True),
    ],
)
def test_a_score_is_at_chance_where_its_interval_reaches_it(value, interval, is_chance):
    assert is_at_chance(score(value=value, interval=interval)) is is_chance


@pytest.mark.parametrize(
    ("value", "interval", "is_chance"), [(0.9, [0.85, 0.99], False), (0.9, [0.8, 1.0], True)]
)
def test_an_error_rate_is_at_chance_from_below(value, interval, is_chance):
    one = score(value=value, interval=interval, higher_is_better=False, chance=1.0, metric="wer")
    assert is_at_chance(one) is is_chance


def test_rows_below_their_baselines_are_named_with_both_numbers():
    scores = [score(value=0.30), score(plan="random weights", value=0.38)]
    (one,) = warnings_of(scores, [])
    assert (one["kind"], one["plan"], one["task"]) == ("random weights", "w1a1", "ks")
    assert "0.300" in one["text"]
    assert "0.380" in one["text"]
    better = [score(value=0.39), score(plan="random weights", value=0.38)]
    assert warnings_of(better, []) == []


def test_rows_with_the_same_warning_are_listed_once_with_their_numbers():
    scores = [
        score(encoder=encoder, plan=plan, value=value)
        for encoder in ("a", "b")
        for plan, value in (("w1a1", 0.30), ("random weights", 0.38))
    ]
    rows = ["a w1a1 (0.300 against 0.380)", "b w1a1 (0.300 against 0.380)"]
    found = grouped(warnings_of(scores, []), n_seeds=1)
    assert found == [("ks: accuracy is worse than random weights", rows)]


def test_baselines_are_never_marked():
    assert warnings_of([score(plan="random weights", value=0.1, interval=[0.0, 0.2])], []) == []
    assert warnings_of([score(plan="-", encoder="fbank", value=0.1)], []) == []


@pytest.mark.parametrize(("accuracy", "n"), [(0.04, 1), (0.05, 1), (0.06, 0), (None, 0)])
def test_a_training_below_the_commonest_unit_is_marked(accuracy, n):
    found = warnings_of([], [training(accuracy, 0.05)])
    assert [one["kind"] for one in found] == ["commonest unit"] * n
