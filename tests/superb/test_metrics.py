import sys

import pytest

from earbit.errors import DataError, UnsupportedError
from earbit.superb.metrics import (
    METRICS,
    accuracy,
    character_error_rate,
    mean_class_accuracy,
    word_error_rate,
)

REFERENCES = ["yes", "yes", "yes", "no"]
NAN = float("nan")


def test_accuracy_counts_equal_pairs():
    assert accuracy(["yes", "no", "yes", "no"], REFERENCES) == 0.75


def test_of_several_slots_all_must_be_right():
    references = [("raise", "heat"), ("dim", "light")]
    assert accuracy([("raise", "heat"), ("dim", "heat")], references) == 0.5


def test_a_rare_class_weighs_as_much_as_a_frequent_one_in_the_mean_class_accuracy():
    predictions = ["yes", "yes", "yes", "yes"]
    assert accuracy(predictions, REFERENCES) == 0.75
    assert mean_class_accuracy(predictions, REFERENCES) == 0.5


def test_error_rates_count_edits_over_the_whole_corpus():
    pytest.importorskip("jiwer")
    references = [tuple("a cat"), tuple("dogs")]
    predictions = [tuple("a bat"), tuple("dog")]
    assert word_error_rate(predictions, references) == pytest.approx(2 / 3)
    assert character_error_rate(predictions, references) == pytest.approx(2 / 9)
    assert character_error_rate([(), ()], references) == 1.0


def test_the_word_error_rate_of_phones_is_the_phone_error_rate():
    pytest.importorskip("jiwer")
    assert word_error_rate([("HH ", "AH0 ")], [("HH ", "AH0 ", "L ", "OW1 ")]) == 0.5


def test_without_jiwer_error_rates_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(UnsupportedError, match=r'pip install "earbit\[eval\]"'):
        word_error_rate([("a",)], [("a",)])


@pytest.mark.parametrize("metric", [accuracy, mean_class_accuracy, word_error_rate])
@pytest.mark.parametrize(("predictions", "references"), [([], []), (["yes"], ["yes", "no"])])
def test_lists_that_do_not_pair_up_are_an_error(metric, predictions, references):
    with pytest.raises(DataError, match=f"{len(predictions)} predictions"):
        metric(predictions, references)


@pytest.mark.parametrize(
    ("name", "value", "than", "is_better"),
    [
        ("accuracy", 0.9, 0.8, True),
        ("accuracy", 0.8, 0.8, False),
        ("wer", 0.8, 0.9, True),
        ("wer", 0.9, 0.8, False),
        ("wer", NAN, 0.9, False),
        ("wer", 0.9, NAN, True),
        ("accuracy", NAN, NAN, False),
    ],
)
def test_a_value_is_better_in_the_direction_of_its_metric_and_nan_never(
    name, value, than, is_better
):
    assert METRICS[name].is_better(value, than) is is_better
