import sys
from dataclasses import replace
from itertools import product

import jiwer
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from earbit.errors import DataError, UnsupportedError
from earbit.superb.cases import Cases
from earbit.superb.metrics import METRICS, Metric

REFERENCES = ["yes", "yes", "yes", "no"]
NAN = float("nan")
PROTOCOL_LISTS = ["the cat sat", "a dog", "no", "turn the light on"]


def cases(predictions, references, groups=None):
    return Cases(predictions, references, groups or [str(i) for i in range(len(references))])


def value(name, predictions, references, groups=None):
    return METRICS[name].of(cases(predictions, references, groups))


def test_accuracy_counts_equal_pairs():
    assert value("accuracy", ["yes", "no", "yes", "no"], REFERENCES) == 0.75


def test_of_several_slots_all_must_be_right():
    references = [("raise", "heat"), ("dim", "light")]
    assert value("accuracy", [("raise", "heat"), ("dim", "heat")], references) == 0.5


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


def test_error_rates_count_edits_over_the_whole_corpus():
    references = [tuple("a cat"), tuple("dogs")]
    predictions = [tuple("a bat"), tuple("dog")]
    assert value("wer", predictions, references) == pytest.approx(2 / 3)
    assert value("cer", predictions, references) == pytest.approx(2 / 9)
    assert value("cer", [(), ()], references) == 1.0


def spoilt(text, rng):
    words = text.split()
    for _ in range(rng.integers(0, 4)):
        where = int(rng.integers(len(words) + 1))
        match rng.integers(3):
            case 0:
                words.insert(where, "cat")
            case 1:
                words = words[:where] + words[where + 1 :]
            case 2:
                words[where : where + 1] = ["dog"]
    return " ".join(words)


@pytest.mark.parametrize("seed", range(5))
def test_error_rates_are_those_of_jiwer_on_the_whole_lists(seed):
    rng = np.random.default_rng(seed)
    predictions = [spoilt(text, rng) for text in PROTOCOL_LISTS]
    symbols = [tuple(text) for text in predictions], [tuple(text) for text in PROTOCOL_LISTS]
    assert value("wer", *symbols) == pytest.approx(jiwer.wer(PROTOCOL_LISTS, predictions))
    assert value("cer", *symbols) == pytest.approx(jiwer.cer(PROTOCOL_LISTS, predictions))


def test_more_insertions_than_words_are_a_rate_above_one():
    assert value("wer", [tuple("a b c d")], [tuple("x")]) == 4


def test_the_phone_error_rate_counts_phones_not_letters():
    # HH AH0 L OW1: one deleted, one of two letters wrong, which is one wrong phone.
    reference, prediction = ("HH ", "AH0 ", "L ", "OW1 "), ("HH ", "AH1 ", "OW1 ")
    assert value("per", [prediction], [reference]) == 0.5
    assert value("per", [()], [reference]) == 1.0
    assert value("wer", [("HH ", "AH0 ")], [reference]) == 0.5


def test_without_jiwer_error_rates_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(UnsupportedError, match=r'pip install "earbit\[eval\]"'):
        value("wer", [("a",)], [("a",)])


def test_without_pyannote_diarization_error_rates_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyannote.core", None)
    with pytest.raises(UnsupportedError, match=r'pip install "earbit\[eval\]"'):
        value("der", [()], [((0.0, 1.0, "a"),)])


# The equal error rate.


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


# The term-weighted value.


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


# Slots.


def marked(text):
    """Symbols of a text with markers."""
    symbols = []
    for word in text.split():
        if symbols and symbols[-1][:2] != "B-" and word[:2] != "E-":
            symbols.append(" ")
        symbols += {"B-": [f"{word} "], "E-": [f" {word}"]}.get(word[:2], word)
    return tuple(symbols)


def slots(prediction, reference):
    pair = [marked(prediction)], [marked(reference)]
    return value("slot_type_f1", *pair), value("slot_value_cer", *pair)


@pytest.mark.parametrize(
    ("prediction", "reference", "f1", "cer"),
    [
        ("B-city PARI E-city B-date NOW E-date", "B-city PARIS E-city", 2 / 3, 1 / 5),
        ("B-city PARIS E-city", "B-city PARIS E-city", 1, 0),
        # A slot that is not found has an empty value.
        ("PARIS", "B-city PARIS E-city", 0, 1),
        # Of two values of the same slot, the nearest counts.
        ("B-city LONDON E-city B-city PARI E-city", "B-city PARIS E-city", 1, 1 / 5),
        # Both cities of the reference are compared with the one city found.
        ("B-city PARIS E-city", "B-city PARIS E-city TO B-city OSLO E-city", 1, 5 / 9),
        # A slot that is not closed is none.
        ("B-city PARIS", "B-city PARIS E-city", 0, 1),
        # A slot is closed by its own end alone.
        ("B-city PARIS E-date E-city", "B-city PARIS E-city", 1, 0),
        # The name of one slot begins with that of another.
        ("B-to PARIS E-town E-to", "B-to PARIS E-to", 1, 0),
        # Markers inside of a value are not part of it.
        ("B-city PA B-x RIS E-city", "B-city PARIS E-city", 1, 1 / 5),
        # The text around does not matter.
        ("HELLO B-city PARIS E-city", "BYE B-city PARIS E-city NOW", 1, 0),
    ],
)
def test_slots_by_hand(prediction, reference, f1, cer):
    assert slots(prediction, reference) == (pytest.approx(f1), pytest.approx(cer))


def test_f1_is_one_where_neither_has_a_slot_and_zero_where_one_has():
    some, none = marked("B-city PARIS E-city"), tuple("HELLO")
    assert value("slot_type_f1", [none], [none]) == 1
    assert value("slot_type_f1", [some], [none]) == 0
    assert value("slot_type_f1", [none], [some]) == 0
    assert value("slot_type_f1", [some, some], [some, none]) == 0.5


def test_slot_types_are_a_set_per_utterance():
    """Two cities found where one is said is no fault of the types."""
    pair = marked("B-city A E-city B-city C E-city"), marked("B-city A E-city")
    assert value("slot_type_f1", [pair[0]], [pair[1]]) == 1


def test_the_value_error_rate_is_summed_over_utterances():
    predictions = [marked("B-city PARI E-city"), marked("B-day NO E-day")]
    references = [marked("B-city PARIS E-city"), marked("B-day NOW E-day")]
    assert value("slot_value_cer", predictions, references) == pytest.approx(2 / 8)


# All metrics.


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


def test_every_metric_is_judged_here():
    judged = "accuracy mean_class_accuracy wer cer per slot_type_f1 slot_value_cer eer mtwv der"
    assert set(METRICS) == set(judged.split())


# Intervals.


def two_thirds(n_groups, n_per_group=1):
    """Cases of which two thirds are right, in equal groups that are all right or all wrong."""
    predictions, groups = [], []
    for g in range(n_groups):
        predictions += ["yes" if g % 3 else "no"] * n_per_group
        groups += [f"g{g}"] * n_per_group
    return cases(predictions, ["yes"] * len(predictions), groups)


def width(of):
    low, high = METRICS["accuracy"].interval(of, seed=0)
    return high - low


def test_an_interval_holds_the_value_and_is_narrower_for_more_groups():
    for n_groups in (30, 300):
        low, high = METRICS["accuracy"].interval(two_thirds(n_groups), seed=0)
        assert low < 2 / 3 < high
    # Of independent cases, the deviation is sqrt(p (1 - p) / n): 1.96 of it to both sides.
    for n_groups in (300, 1_200):
        expected = 2 * 1.96 * np.sqrt(2 / 9 / n_groups)
        assert width(two_thirds(n_groups)) == pytest.approx(expected, rel=0.1)


def test_more_clips_of_the_same_speakers_do_not_narrow_an_interval():
    assert width(two_thirds(30, n_per_group=20)) == pytest.approx(width(two_thirds(30)))
    assert width(two_thirds(600)) < 0.3 * width(two_thirds(30, n_per_group=20))


def test_a_single_group_has_no_interval():
    assert METRICS["accuracy"].interval(two_thirds(1, n_per_group=30), seed=0) is None


def test_an_interval_follows_from_its_seed():
    metric = METRICS["accuracy"]
    sizes = [f"g{i}" for i in range(31) for _ in range(i + 1)]
    of = cases(["yes" if "3" in g else "no" for g in sizes], ["yes"] * len(sizes), sizes)
    intervals = [metric.interval(of, seed) for seed in (0, 0, 1)]
    assert intervals[0] == intervals[1] != intervals[2]


def test_an_interval_leaves_the_global_generator_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()
    METRICS["accuracy"].interval(two_thirds(30), seed=0)
    assert np.random.get_state()[1].tolist() == before


def test_samples_without_a_value_are_left_out_and_without_any_there_is_no_interval():
    eer_metric = METRICS["eer"]
    both = cases([0.9, 0.2, 0.4, 0.6], [True, False, True, False], ["a", "b", "c", "d"])
    low, high = eer_metric.interval(both, seed=0)
    assert 0 <= low <= high <= 1
    only_matches = cases([0.9, 0.2], [True, True], ["a", "b"])
    assert np.isnan(eer_metric.of(only_matches))
    assert eer_metric.interval(only_matches, seed=0) is None


def test_the_order_of_the_cases_does_not_matter():
    of = two_thirds(10, n_per_group=3)
    order = np.random.default_rng(0).permutation(30)
    shuffled = Cases(
        [of.predictions[i] for i in order],
        [of.references[i] for i in order],
        [of.groups[i] for i in order],
    )
    for metric in ("accuracy", "mean_class_accuracy"):
        assert METRICS[metric].of(shuffled) == pytest.approx(METRICS[metric].of(of))


@pytest.mark.parametrize("name", ["accuracy", "wer", "mtwv", "eer"])
def test_the_value_is_that_of_the_cases_in_any_groups(name):
    """Except for queries, groups are only for intervals."""
    rng = np.random.default_rng(0)
    if name in ("eer", "mtwv"):
        pair = rng.normal(size=20).tolist(), ([True, False, False, False] * 5)
    else:
        references = [tuple(word) for word in ["yes", "no"] * 10]
        pair = [references[i] for i in rng.permutation(20)], references
    values = {round(value(name, *pair, groups), 9) for groups in (["a"] * 20, ["a", "b"] * 10)}
    assert len(values) == 1 or name == "mtwv"


def test_rows_of_a_metric_are_resampled_by_whole_groups():
    """Every sample has its groups whole: sums of the two columns keep the ratio of a group."""
    seen = []
    metric = replace(
        METRICS["accuracy"], value=lambda blocks: seen.append([len(b) for b in blocks]) or 0.0
    )
    assert isinstance(metric, Metric)
    metric.interval(cases(["a"] * 6, ["a"] * 6, ["x", "y", "y", "z", "z", "z"]), seed=0)
    assert {n for sample in seen for n in sample} == {1, 2, 3}
    assert {len(sample) for sample in seen} == {3}
    assert len({tuple(sample) for sample in seen}) == len(list(product(range(3), repeat=3)))
