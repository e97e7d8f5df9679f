"""The paper's table: its rows, its printed ratios, and what it admits."""

import pytest

from earbit.cost import paper
from earbit.cost.paper import MODELS, PRINTED, table_1
from earbit.quantize.plan import PLANS


@pytest.fixture(scope="module")
def table():
    return table_1(16_000)


def test_every_model_stands_under_every_plan(table):
    _, profiles = table
    assert [(p.name, p.plan) for p in profiles] == [(m, p) for m in MODELS for p in PLANS]


def test_printed_ratios_stand_beside_ours_and_nowhere_else(table):
    text, profiles = table
    rows = [line.split() for line in text.splitlines()]
    (row,) = [r for r in rows if r[:2] == ["sparseformer-dn-s", "w1a1-encoder"] and "-93.4" in r]
    vanilla = profiles[0].total
    ours = next(p for p in profiles if (p.name, p.plan) == (row[0], row[1])).total
    storage = 100 * (ours.storage_bits[16] / vanilla.storage_bits[16] - 1)
    bops = 100 * (ours.bops / vanilla.bops - 1)
    assert row[2:4] == [f"{storage:+.1f}", "-93.4"]
    assert row[6:9] == ["-93.4", f"{bops:+.1f}", "-90.3"]
    assert row[10] == "-91.1"
    (unprinted,) = [r for r in rows if r[:2] == ["hubert-base", "w1a1"] and "-" in r]
    assert unprinted.count("-") == 4


def test_ratios_of_printed_figures_are_those_that_the_paper_states():
    # From W1A1 vanilla to the 1-bit Sparseformer it states -52.1, -37.8 and -50 %.
    vanilla = PRINTED["hubert-base", "w1a1-encoder"]
    sparse = PRINTED["sparseformer-dn-s", "w1a1-encoder"]
    for figure, stated in (("storage", -52.1), ("flops", -37.8), ("bops", -50.0)):
        ratio = (100 + getattr(sparse, figure)) / (100 + getattr(vanilla, figure)) - 1
        assert 100 * ratio == pytest.approx(stated, abs=1.0)


def test_what_is_ours_and_what_is_not_known_is_said(table):
    text, _ = table
    for words in ("ours: the shapes of both Sparseformers", "not known: the paper's length"):
        assert words in text
    assert paper.DEVICE in text
