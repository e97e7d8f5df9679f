import contextlib
import io
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from earbit.output import print_json

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_printed_json_is_the_value(value):
    assert json.loads(printed(value)) == value


def test_numbers_that_are_not_finite_are_null():
    value = {"a": [float("nan"), 1.5, float("inf")], "b": np.float64("-inf")}
    assert json.loads(printed(value)) == {"a": [None, 1.5, None], "b": None}


def test_numbers_of_a_list_are_printed_on_a_line():
    assert printed({"a": [1, -2.5, 3e-07], "b": []}).splitlines() == [
        "{",
        '  "a": [1, -2.5, 3e-07],',
        '  "b": []',
        "}",
    ]


def printed(value):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        print_json(value)
    return out.getvalue()
