import sys

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from earbit.errors import DataError, UnsupportedError
from earbit.heads.cases import Cases
from earbit.heads.metrics import METRICS

REFERENCES = ["yes", "yes", "yes", "no"]
NAN = float("nan")


def cases(predictions, references, groups=None):
    return Cases(predictions, references, groups or [str(i) for i in range(len(references))])


def value(name, predictions, references, groups=None):
    return METRICS[name].of(cases(predictions, references, groups))


def test_accuracy_counts_equal_pairs():
    assert value("accuracy", ["yes", "no", "yes", "no"], REFERENCES) == 0.75


def test_of_several_slots_all_must_be_right():
    references = [("raise", "heat"), ("dim", "light")]
    assert value("accuracy", [("raise", "heat"), ("dim", "heat")], references) == 0.5


def test_the_slot_accuracy_counts_single_slots():
    references = [("raise", "heat"), ("dim", "light")]
    assert value("slot_accuracy", [("raise", "heat"), ("dim", "heat")], references) == 0.75
    assert value("slot_accuracy", ["yes", "no", "yes", "no"], REFERENCES) == 0.75


def test_a_rare_class_weighs_as_much_as_a_frequent_one_in_the_mean_class_accuracy():
    predictions = ["yes", "yes", "yes", "yes"]
    assert value("accuracy", predictions, REFERENCES) == 0.75
    assert value("mean_class_accuracy", predictions, REFERENCES) == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_class_accuracy_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    references = [f"c{i}" for i in rng.choice(5, size=60, p=[0.5, 0.3, 0.1, 0.05, 0.05])]
    predictions = [r if rng.random() < 0.6 else f"c{rng.integers(5)}" for r in references]
    expected = balanced_accuracy_score(references, predictions)
    groups = [f"g{i % 7}" for i in range(60)]  # groups reorder the cases
    assert value("mean_class_accuracy", predictions, references, groups) == pytest.approx(expected)


def test_a_class_that_is_only_predicted_has_no_share_in_the_mean():
    assert value("mean_class_accuracy", ["a", "b", "c"], ["a", "b", "b"]) == 0.75


def test_without_pyannote_diarization_error_rates_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyannote.core", None)
    with pytest.raises(UnsupportedError, match="install it with: .* -m pip install .*jiwer"):
        value("der", [()], [((0.0, 1.0, "a"),)])


def eer(matches, others):
    scores = [*matches, *others]
    return value("eer", scores, [True] * len(matches) + [False] * len(others))


def test_the_equal_error_rate_of_four_and_four_trials_by_hand():
    """At a threshold of 0.55, one match of four is missed and one other of four accepted."""
    assert eer([0.9, 0.8, 0.55, 0.3], [0.7, 0.4, 0.2, 0.1]) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("matches", "others", "rate"),
    [
        ([0.9, 0.8], [0.2, 0.1], 0.0),
        ([0.1, 0.2], [0.8, 0.9], 1.0),
        ([0.5, 0.5, 0.5], [0.5, 0.5], 0.5),
        ([1.0, 0.0], [1.0, 0.0], 0.5),
        ([0.9, 0.4], [0.6, 0.1], 0.5),
    ],
)
def test_the_equal_error_rate_of_separable_reversed_and_equal_scores(matches, others, rate):
    assert eer(matches, others) == pytest.approx(rate)


def test_between_two_thresholds_the_equal_error_rate_is_interpolated():
    """One match, two others, one of which scores higher.

    The ROC goes from (0, 0) to (1/2, 0) to (1/2, 1): false accepts are 1 - hits at hits 1/2.
    With equal scores of the match and an other, it goes from (0, 0) straight to (1/2, 1), where
    x = 1 - 2 x, so x = 1/3.
    """
    assert eer([0.5], [0.9, 0.1]) == pytest.approx(0.5)
    assert eer([0.9], [0.9, 0.1]) == pytest.approx(1 / 3)


def test_the_equal_error_rate_of_two_normal_distributions():
    """Of means 0 and d and deviation 1: the normal tail beyond d / 2."""
    rng = np.random.default_rng(0)
    got = eer(rng.normal(2.0, 1, 20_000).tolist(), rng.normal(0, 1, 20_000).tolist())
    assert got == pytest.approx(0.158655, abs=0.005)


def test_the_equal_error_rate_does_not_depend_on_the_scale_of_the_scores():
    matches, others = [0.9, 0.8, 0.55, 0.3], [0.7, 0.4, 0.35, 0.2, 0.1]
    stretched = [np.exp(7 * s) for s in matches], [np.exp(7 * s) for s in others]
    assert eer(*stretched) == pytest.approx(eer(matches, others))


# The diarization error rate, over seconds of speech.

TWO = ((0.0, 4.0, "a"), (4.0, 8.0, "b"))


@pytest.mark.parametrize(
    ("reference", "prediction", "rate"),
    [
        (TWO, TWO, 0),
        # Names do not matter.
        (TWO, ((0.0, 4.0, "y"), (4.0, 8.0, "x")), 0),
        # Missed: 2 of 8 s.
        (TWO, ((0.0, 4.0, "x"), (4.0, 6.0, "y")), 2 / 8),
        # False alarm: 2 s after the end, 2 s of another speaker inside.
        (TWO, (*TWO, (8.0, 10.0, "a")), 2 / 8),
        (TWO, (*TWO, (0.0, 2.0, "b")), 2 / 8),
        # Confusion: a is said to go on for one second of b.
        (TWO, ((0.0, 5.0, "x"), (5.0, 8.0, "y")), 1 / 8),
        # One speaker for all: half is confused.
        (TWO, ((0.0, 8.0, "x"),), 4 / 8),
        # Overlaps count twice in the reference, and are half missed.
        (((0.0, 4.0, "a"), (0.0, 4.0, "b")), ((0.0, 4.0, "x"),), 4 / 8),
        (((0.0, 4.0, "a"), (2.0, 6.0, "b")), ((0.0, 4.0, "x"), (2.0, 6.0, "y")), 0),
        # Segments of one speaker that overlap are one segment.
        (((0.0, 2.0, "a"), (1.0, 3.0, "a"), (3.0, 4.0, "b")), ((0.0, 3.0, "x"),), 1 / 4),
        (((0.0, 3.0, "a"),), ((0.0, 2.0, "x"), (1.0, 3.0, "x")), 0),
        # There is no collar: 0.2 s count.
        (TWO, ((0.2, 4.0, "a"), (4.0, 8.0, "b")), 0.2 / 8),
        (TWO, (), 1),
        # Frames of one second: miss 1, confusion 1 of 5 (10 10 11 01 against 10 00 11 10).
        (
            ((0.0, 3.0, "a"), (2.0, 4.0, "b")),
            ((0.0, 1.0, "a"), (2.0, 4.0, "a"), (2.0, 3.0, "b")),
            2 / 5,
        ),
    ],
)
def test_the_diarization_error_rate_of_recordings_counted_by_hand(reference, prediction, rate):
    assert value("der", [prediction], [reference]) == pytest.approx(rate)


def test_seconds_are_summed_over_recordings_and_names_are_matched_in_each():
    swapped = ((0.0, 4.0, "b"), (4.0, 8.0, "a"))
    missed = ((0.0, 4.0, "a"),)
    assert value("der", [swapped, missed], [TWO, ((0.0, 4.0, "a"), (4.0, 6.0, "b"))]) == (
        pytest.approx(2 / 14)
    )


def test_the_term_weighted_value_of_two_queries_by_hand():
    """Best of all thresholds.

    Query 1 has two matches of four, query 2 one.  With the three highest scores, query 1 has one
    hit of two, query 2 its hit and no false alarm: 1 - (0.5 + 0) / 2 = 0.75.
    """
    scores = [0.9, 0.3, 0.2, 0.1, 0.8, 0.4, 0.0, 0.0]
    matches = [True, False, False, True, True, False, False, False]
    assert value("mtwv", scores, matches, ["1"] * 4 + ["2"] * 4) == pytest.approx(0.75)


def test_false_alarms_cost_12_49_times_a_miss():
    """One query, 100 documents: a hit after two false alarms is worth 1 - 2 x 12.49 / 99."""
    scores = [0.9, 0.8, 0.7] + [0.0] * 97
    matches = [False, False, True] + [False] * 97
    assert value("mtwv", scores, matches, ["q"] * 100) == pytest.approx(1 - 2 * 12.49 / 99)


def test_saying_nothing_is_worth_zero_so_no_value_is_below():
    assert value("mtwv", [0.9, 0.1, 0.1, 0.1], [False, False, False, True], ["q"] * 4) == 0


def test_queries_without_a_match_are_left_out():
    scores, matches = [0.9, 0.1, 5.0, 5.0], [True, False, False, False]
    assert value("mtwv", scores, matches, ["q", "q", "r", "r"]) == pytest.approx(1.0)


def by_thresholds(scores, matches, groups):
    values = [0.0]
    for threshold in scores:
        costs = []
        for query in sorted(set(groups)):
            of_query = [
                (s, m) for s, m, g in zip(scores, matches, groups, strict=True) if g == query
            ]
            wanted = [s for s, m in of_query if m]
            others = [s for s, m in of_query if not m]
            if wanted and others:
                missed = sum(s < threshold for s in wanted) / len(wanted)
                alarms = sum(s >= threshold for s in others) / len(others)
                costs.append(missed + 12.49 * alarms)
        values.append(1 - sum(costs) / len(costs))
    return max(values)


@pytest.mark.parametrize("seed", range(6))
def test_the_term_weighted_value_is_that_of_trying_every_threshold(seed):
    rng = np.random.default_rng(seed)
    groups = [q for q in "abcde" for _ in range(40)]
    matches = (rng.random(200) < 0.1).tolist()
    # Rounded, so that many scores are equal.
    scores = np.round(rng.normal(size=200) + 3.5 * np.array(matches), 1).tolist()
    expected = by_thresholds(scores, matches, groups)
    assert expected > 0
    assert value("mtwv", scores, matches, groups) == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["accuracy", "mean_class_accuracy", "wer", "eer", "mtwv", "der"])
@pytest.mark.parametrize(("predictions", "references"), [([], []), (["yes"], ["yes", "no"])])
def test_lists_that_do_not_pair_up_are_an_error(metric, predictions, references):
    with pytest.raises(DataError, match=f"{len(predictions)} predictions"):
        value(metric, predictions, references)


@pytest.mark.parametrize(
    ("name", "better", "worse"),
    [
        ("accuracy", 0.9, 0.8),
        ("mean_class_accuracy", 0.9, 0.8),
        ("wer", 0.8, 0.9),
        ("cer", 0.8, 0.9),
        ("per", 0.8, 0.9),
        ("slot_type_f1", 0.9, 0.8),
        ("slot_value_cer", 0.8, 0.9),
        ("eer", 0.1, 0.2),
        ("mtwv", 0.2, 0.1),
        ("der", 0.1, 0.2),
    ],
)
def test_a_value_is_better_in_the_direction_of_its_metric_and_nan_never(name, better, worse):
    metric = METRICS[name]
    assert metric.is_better(better, worse)
    assert not metric.is_better(worse, better)
    assert not metric.is_better(better, better)
    assert metric.is_better(worse, NAN)
    assert not metric.is_better(NAN, worse)
    assert not metric.is_better(NAN, NAN)


def test_every_metric_is_one_that_these_tests_judge():
    judged = "accuracy slot_accuracy mean_class_accuracy wer cer per slot_type_f1 slot_value_cer"
    assert set(METRICS) == set(judged.split()) | {"eer", "mtwv", "der"}


def test_scores_that_are_not_finite_have_no_equal_error_rate():
    """Heads of a rate that is too high give NaN; another rate of the sweep is then better."""
    metric = METRICS["eer"]
    value = metric.of(cases([0.3, float("nan"), 0.1, 0.2], [True, True, False, False]))
    assert value != value
    assert metric.is_better(0.5, value)
