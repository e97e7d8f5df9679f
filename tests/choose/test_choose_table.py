"""The text of a choice."""

import pytest

from earbit.choose.table import N_SHOWN, render


@pytest.mark.parametrize("n_front", [1, 2, 12, 13, 40])
def test_the_table_shows_both_ends_of_the_front(n_front):
    front = [{"ms": 10.0 + i, "mb": 1.0, "penalty": 40.0 - i} for i in range(n_front)]
    chosen = {"estimated": front[0], "measured": front[0]}
    rest = {"ms": 0.0, "mb": 0.0}
    evidence = {"penalty": "error", "corpus": "x", "groups": [], "rest": rest, "front": front}
    lines = render({**evidence, "named": [], "chosen": chosen}).splitlines()
    shown = [float(line.split()[2]) for line in lines if line.startswith("front, estimated")]
    assert shown == sorted(set(shown))
    assert (shown[0], shown[-1]) == (10.0, 9.0 + n_front)
    assert len(shown) <= N_SHOWN + 1
