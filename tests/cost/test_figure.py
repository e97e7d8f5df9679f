"""The picture is the same bytes for the same records, and its bars are the records."""

import re
from functools import cache

from earbit.cost.figure import draw
from earbit.cost.lengths import macs_by_length
from earbit.cost.verb import profile_models
from earbit.presets import preset

NAMES = ("hubert-tiny", "sparseformer-dn-tiny")


@cache
def recorded():
    _, records = profile_models(NAMES, ["fp32", "w1a1"], seconds=1)
    return records, macs_by_length({name: preset(name) for name in NAMES})


def drawn() -> str:
    return draw(*recorded())


def test_the_same_records_give_the_same_bytes_without_a_date():
    first = drawn()
    assert drawn() == first
    assert first.startswith("<svg")
    assert not re.search(r"20\d\d-\d\d-\d\d", first)


def test_a_figure_is_written_where_the_command_says(tmp_path):
    path = tmp_path / "cost.svg"
    profile_models(NAMES, ["fp32", "w1a1"], seconds=1, figure=path)
    assert path.read_text() == drawn() + "\n"
