"""Claims and answer on studies made by hand, whose verdicts are known."""

import json

import pytest

from earbit.study.report import answer
from earbit.study.report.answer import answer_of
from earbit.study.report.claim import Claim, cast_of
from earbit.study.report.claims import claims_of
from earbit.study.report.comparisons import compared_losses, compared_scores, relative_loss
from earbit.study.report.rows import Study
from earbit.study.report.tables import paper_ratios

MIXED, SPARSE, WIDE, FULL = (
    "conformer-tiny",
    "sparseformer-dn-tiny",
    "sparseformer-sw-tiny",
    "hubert-tiny",
)
ENCODERS = (FULL, MIXED, SPARSE, WIDE)
TASKS = {"ks": ("accuracy", True), "pr": ("per", False), "ic": ("accuracy", True)}


def score(encoder, plan, task, worth, half=0.02, seed=0):
    """A score whose worth is the accuracy, or one minus the error rate."""
    metric, higher = TASKS[task]
    value = worth if higher else 1 - worth
    return {
        "encoder": encoder,
        "plan": plan,
        "seed": seed,
        "task": task,
        "metric": metric,
        "higher_is_better": higher,
        "value": value,
        "interval": [value - half, value + half],
        "chance": 0.25 if higher else 1.0,
    }


def cost(encoder, plan, factor=1.0):
    bits = 1024 if plan == "fp32" else 1
    return {
        "encoder": encoder,
        "plan": plan,
        "storage_bytes": 1e6 * factor * (1 if plan == "fp32" else 0.05),
        "flops": 1e9 * factor,
        "macs": 5e8 * factor,
        "bops": 1e9 * factor * bits,
        "estimate_ms": {"a100-fp32": factor if plan == "fp32" else factor / 40},
    }


def time(encoder, plan, ms):
    figures = {"median_ms": ms, "p10_ms": 0.99 * ms, "p90_ms": 1.01 * ms}
    return {"encoder": encoder, "plan": plan, "engine": "earbit", **figures}


def study(worth, *, factor=None, half=0.02, ms=None):
    """worth: accuracy by encoder and plan, equal in all tasks."""
    factor = factor or {FULL: 1.0, MIXED: 0.6, SPARSE: 0.5, WIDE: 0.8}
    rows = list(worth)
    return Study(
        {
            "settings": {"encoders": list(ENCODERS), "plans": ["fp32", "w1a1"], "scale": "tiny"},
            "scores": [score(*row, task, worth[row], half) for row in rows for task in TASKS],
            "cost": [cost(*row, factor[row[0]]) for row in rows],
            "times": [
                time(
                    *row, (ms or {}).get(row) or 50 * factor[row[0]] / (1 + 3 * (row[1] != "fp32"))
                )
                for row in rows
            ],
        }
    )


def worth(full=0.9, mixed=0.6, sparse=0.8, wide=0.85):
    low = {FULL: 0.8, MIXED: mixed, SPARSE: sparse, WIDE: wide}
    return {(e, "fp32"): full for e in ENCODERS} | {(e, "w1a1"): low[e] for e in ENCODERS}


def verdicts(found):
    return [claim.verdict for claim in claims_of(found)]


def test_encoders_get_their_parts_by_type_and_depth():
    cast = cast_of(study(worth()))
    assert (cast.transformer, cast.mixed) == (FULL, (MIXED,))
    assert (cast.deep, cast.wide) == (SPARSE, WIDE)


def test_encoders_of_files_get_their_parts_and_settings_change_the_depth():
    shapes = {
        "own": {"type": "conformer", "n_layers": 2},
        "small": {"type": "sparseformer", "n_layers": 2},
        SPARSE: {"type": "sparseformer", "n_layers": 1},
    }
    cast = cast_of(Study({"settings": {"encoders": list(shapes), "shapes": shapes}}))
    assert cast.mixed == ("own",)
    assert (cast.deep, cast.wide) == ("small", SPARSE)


def test_encoders_of_files_in_studies_of_earlier_versions_get_their_parts():
    shapes = {"own": {"encoder": {"type": "conformer", "n_layers": 2}}}
    settings = {"encoders": ["own", SPARSE], "scale_settings": {"shapes": shapes}}
    cast = cast_of(Study({"settings": settings}))
    assert (cast.mixed, cast.deep) == (("own",), SPARSE)


def test_a_study_as_in_the_paper_confirms_the_claims():
    found = study(worth(sparse=0.75))
    cuts, cheap, better, less, propagation, wide, estimated = verdicts(found)
    assert (cuts, cheap, better, less, wide) == (True, True, True, True, True)
    assert propagation is None  # nothing was measured
    assert estimated is False  # 8 times as fast, where 80 times were estimated
    assert answer_of(found).headline.startswith("Yes")


def test_the_opposite_results_contradict_the_claims():
    factor = {FULL: 0.5, MIXED: 0.8, SPARSE: 1.0, WIDE: 0.6}
    found = study(worth(mixed=0.85, sparse=0.6, wide=0.4), factor=factor)
    assert verdicts(found)[:4] == [False, False, False, False]
    assert verdicts(found)[5] is False
    assert answer_of(found).headline.startswith("No")


@pytest.mark.parametrize("better", [True, False, None])
@pytest.mark.parametrize("less", [True, False, None])
def test_the_headline_calls_unclear_what_the_study_cannot_tell(monkeypatch, better, less):
    verdict_of = {"attention_is_better_in_1_bit": better, "attention_loses_less": less}
    for name, verdict in verdict_of.items():
        claim = Claim("title", "paper", "rule", verdict, ())
        monkeypatch.setattr(answer, name, lambda *_, claim=claim: claim)
    text = answer_of(study(worth())).headline
    assert ("Whether it scores better" in text) == (better is None and less is not None)
    assert ("Whether it loses less" in text) == (less is None and better is not None)
    assert text.startswith("Cannot tell") == (better is None and less is None)
    assert text.startswith("Yes") == (better is True and less is True)


def test_overlapping_intervals_leave_the_claim_open():
    found = study(worth(mixed=0.79, sparse=0.8), half=0.1)
    assert [claim.word for claim in claims_of(found)][2:4] == ["cannot tell", "cannot tell"]
    assert "Cannot tell at this scale (tiny)" in answer_of(found).headline


def test_a_better_score_at_a_higher_cost_does_not_hold():
    factor = {FULL: 1.0, MIXED: 0.5, SPARSE: 0.6, WIDE: 0.8}
    assert verdicts(study(worth(), factor=factor))[2] is False


def test_a_plan_of_more_bits_decides_no_claim():
    results = study(worth(sparse=0.75)).results
    results = json.loads(json.dumps(results).replace('"w1a1"', '"w8a8"'))
    found = Study(results)
    assert found.low_plan == "w8a8"  # of charts
    assert verdicts(found)[2:] == [None] * 5
    for claim in claims_of(found)[2:]:
        assert claim.evidence == ("This study lacks a 1-bit plan (w1a1 or w1a1-encoder).",)
    assert answer_of(found).headline == "Cannot tell: no 1-bit plan."
    assert {row["plan"] for row in paper_ratios(found, cast_of(found))} == {"fp32"}


def test_an_encoder_in_1_bit_behind_a_float_front_end_decides_the_claims():
    results = json.dumps(study(worth(sparse=0.75)).results).replace('"w1a1"', '"w1a1-encoder"')
    assert verdicts(Study(json.loads(results)))[2:4] == [True, True]


def test_times_within_their_spread_leave_the_claim_open():
    ms = {(MIXED, "w1a1"): 5.0, (SPARSE, "w1a1"): 4.99}
    found = study(worth(), ms=ms)
    assert verdicts(found)[2] is None
    assert "within its spread" in claims_of(found)[2].evidence[0]


@pytest.mark.parametrize(
    ("ratio", "spread", "verdict"),
    [(1.05, 0.3, True), (1.3, 0.3, None), (1.3, 0.01, False), (1.05, 0.01, True)],
)
def test_a_time_within_its_spread_does_not_break_that_costs_are_comparable(ratio, spread, verdict):
    found = study(worth(), ms={(MIXED, "fp32"): 30.0, (SPARSE, "fp32"): 30.0 * ratio})
    for record in found.results["times"]:
        ms = record["median_ms"]
        record.update(p10_ms=(1 - spread) * ms, p90_ms=(1 + spread) * ms)
    assert verdicts(found)[1] is verdict


def test_claims_about_measured_time_cannot_be_told_without_times():
    found = Study(study(worth(sparse=0.75)).results | {"times": []})
    cuts, cheap, better, _, _, wide, _ = verdicts(found)
    assert (cuts, cheap, better, wide) == (None, None, None, None)
    assert "measured time unknown" in claims_of(found)[2].evidence[0]


def test_a_known_cost_decides_against_a_claim_without_times():
    factor = {FULL: 0.5, MIXED: 0.8, SPARSE: 1.0, WIDE: 0.6}
    found = Study(study(worth(), factor=factor).results | {"times": []})
    cuts, cheap, better, _, _, wide, _ = verdicts(found)
    assert (cuts, cheap, better, wide) == (False, False, False, False)


def test_a_measured_time_as_estimated_confirms_the_estimate():
    ms = {(FULL, "fp32"): 50.0, (SPARSE, "w1a1"): 0.625}
    assert verdicts(study(worth(), ms=ms))[-1] is True


def test_one_clear_task_of_three_is_not_enough():
    found = study(worth(mixed=0.8, sparse=0.8))
    for record in found.results["scores"]:
        if (record["encoder"], record["plan"], record["task"]) == (MIXED, "w1a1", "ks"):
            record.update(value=0.6, interval=[0.58, 0.62])
    tally = compared_scores(found, (SPARSE, "w1a1"), (MIXED, "w1a1"))
    assert tally.better == ("ks",)
    assert tally.verdict is None


def test_lower_error_rates_are_better():
    tally = compared_scores(study(worth()), (SPARSE, "w1a1"), (MIXED, "w1a1"))
    assert set(tally.better) == set(TASKS)


def test_the_loss_is_a_share_of_the_score_in_float():
    found = study(worth())
    accuracy, error = (relative_loss(found, SPARSE, "w1a1", task) for task in ("ks", "pr"))
    assert accuracy.value == pytest.approx(0.1 / 0.9)
    assert error.value == pytest.approx(0.1 / 0.1)  # 10 % errors became 20 %


def test_a_float_score_at_chance_can_lose_nothing():
    found = study(worth() | {(MIXED, "fp32"): 0.26})
    assert relative_loss(found, MIXED, "w1a1", "ks") is None
    assert compared_losses(found, SPARSE, MIXED, "w1a1").n_tasks == 1  # pr alone


def test_coherence_over_seeds_decides_the_claim_about_errors():
    def propagation(seed, mixed, plain, mixed_name=MIXED):
        return [
            {
                "encoder": encoder,
                "plan": "w1a1",
                "seed": seed,
                "modules": [],
                "is_mixed": encoder == mixed_name,
                "interaction": {"between": {"net_coherence": value}},
            }
            for encoder, value in ((mixed_name, mixed), (SPARSE, plain))
        ]

    def verdict(*seeds, **more):
        records = [r for i, pair in enumerate(seeds) for r in propagation(i, *pair, **more)]
        return verdicts(Study(study(worth()).results | {"propagation": records}))[4]

    assert verdict((0.30, 0.1), (0.31, 0.1), (0.29, 0.1)) is True
    assert verdict((0.1, 0.3), (0.1, 0.31), (0.1, 0.29)) is False
    assert verdict((0.3, 0.1), (0.1, 0.3), (0.2, 0.2)) is None
    assert verdict((0.3, 0.1)) is None  # one seed has no interval
    clear = (0.30, 0.1), (0.31, 0.1), (0.29, 0.1)
    assert verdict(*clear, mixed_name="own") is True  # of a file, and so without a preset


def test_a_study_without_pairs_says_what_it_lacks():
    results = study(worth()).results
    alone = [r for r in results["scores"] if r["encoder"] == FULL]
    found = Study({"settings": {"encoders": [FULL], "plans": ["fp32", "w1a1"]}, "scores": alone})
    assert {claim.verdict for claim in claims_of(found)} == {None}
    assert all(claim.evidence[0].startswith("This study lacks") for claim in claims_of(found))
