"""Numbers as the report prints them."""

import pytest

from earbit.study.report import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.000834, "0.000834"),
        (8.344, "8.34"),
        (46.64, "46.6"),
        (123456.0, "123,456"),
        (-0.5, "−0.500"),
        (2.5e9, "2.50e+09"),
        (float("inf"), "inf"),
    ],
)
def test_three_digits_are_shown(value, text):
    assert numbers.digits(value) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.25, "−75.0 %"), (1.0, "0.0 %"), (4.0, "+300 %"), (1.00001, "0.0 %")]
)
def test_a_ratio_is_a_change_in_percent(ratio, text):
    assert numbers.change(ratio).replace(numbers.SPACE, " ") == text


def test_shares_are_percent_and_the_term_weighted_value_is_not():
    assert numbers.score("per", 0.5412) == "54.1"
    assert numbers.score("mtwv", 0.0736) == "0.074"
    assert numbers.span("accuracy", 0.5, 0.75) == "50.0 to 75.0"
