import pytest

from earbit.errors import DataError
from earbit.superb.metrics import accuracy, mean_class_accuracy, recall_of_class

REFERENCES = ["yes", "yes", "yes", "no"]


def test_accuracy_counts_equal_pairs():
    assert accuracy(["yes", "no", "yes", "no"], REFERENCES) == 0.75


def test_a_rare_class_weighs_as_much_as_a_frequent_one_in_the_mean_class_accuracy():
    predictions = ["yes", "yes", "yes", "yes"]
    assert accuracy(predictions, REFERENCES) == 0.75
    assert recall_of_class(predictions, REFERENCES) == {"yes": 1.0, "no": 0.0}
    assert mean_class_accuracy(predictions, REFERENCES) == 0.5


def test_a_class_that_is_only_predicted_has_no_recall():
    assert recall_of_class(["maybe", "no"], ["yes", "no"]) == {"yes": 0.0, "no": 1.0}


@pytest.mark.parametrize("metric", [accuracy, mean_class_accuracy])
@pytest.mark.parametrize(("predictions", "references"), [([], []), (["yes"], ["yes", "no"])])
def test_lists_that_do_not_pair_up_are_an_error(metric, predictions, references):
    with pytest.raises(DataError, match=f"{len(predictions)} predictions"):
        metric(predictions, references)
