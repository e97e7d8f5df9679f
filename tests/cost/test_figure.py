"""The picture is the same bytes for the same records, and its bars are the records."""

import re
from functools import cache

from earbit.cost.figure import draw
from earbit.cost.lengths import LENGTHS_S, macs_by_length
from earbit.cost.verb import profile_models
from earbit.presets import preset

NAMES = ("hubert-tiny", "sparseformer-dn-tiny")


@cache
def drawn() -> str:
    _, records = profile_models(NAMES, ["fp32", "w1a1"], seconds=1)
    return draw(records, macs_by_length({name: preset(name) for name in NAMES}))


def test_the_same_records_give_the_same_bytes_without_a_date():
    first = drawn()
    drawn.cache_clear()
    assert drawn() == first
    assert first.startswith("<svg")
    assert not re.search(r"20\d\d-\d\d-\d\d", first)


def test_lengths_go_from_a_second_to_ten_minutes_and_windows_grow_with_them_alone():
    assert (LENGTHS_S[0], LENGTHS_S[-1]) == (1, 600)
    dense, sparse = macs_by_length({name: preset(name) for name in NAMES})
    growth = [row["macs"][-1] / row["macs"][4] for row in (dense, sparse)]
    # 30 times as long as the fifth, 20 s.
    assert growth[0] > 2 * 30
    assert 30 <= growth[1] < 1.01 * 30


def test_a_figure_is_written_where_the_command_says(tmp_path):
    path = tmp_path / "cost.svg"
    profile_models(NAMES, ["fp32", "w1a1"], seconds=1, figure=path)
    assert path.read_text() == drawn() + "\n"
