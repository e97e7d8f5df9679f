"""Cost against length: the figures are those of the profile, and windows alone grow with audio."""

from functools import cache

from by_hand import macs_by_role

from earbit.cost.lengths import LENGTHS_S, macs_by_length
from earbit.presets import preset

NAMES = ("hubert-tiny", "sparseformer-dn-tiny")


@cache
def rows() -> list[dict]:
    return macs_by_length({name: preset(name) for name in NAMES})


def test_every_length_has_the_macs_of_a_clip_of_so_many_seconds():
    for name, row in zip(NAMES, rows(), strict=True):
        assert row["name"] == name
        assert row["seconds"] == list(LENGTHS_S)
        for seconds in (1, 10, 600):
            n_macs = row["macs"][LENGTHS_S.index(seconds)]
            assert n_macs == sum(macs_by_role(preset(name), 16_000 * seconds).values())


def test_lengths_go_from_a_second_to_ten_minutes_and_windows_grow_with_them_alone():
    assert (LENGTHS_S[0], LENGTHS_S[-1]) == (1, 600)
    dense, sparse = rows()
    growth = [row["macs"][-1] / row["macs"][4] for row in (dense, sparse)]
    # 30 times as long as the fifth, 20 s.
    assert growth[0] > 2 * 30
    assert 30 <= growth[1] < 1.01 * 30
