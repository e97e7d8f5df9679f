"""Bootstrap intervals of metrics."""

from dataclasses import replace

import numpy as np
import pytest

from earbit.heads.cases import N_KEPT, Cases, interval, samples_in
from earbit.heads.metrics import METRICS
from earbit.superb.ks import KS
from earbit.superb.scores import scored


def cases(predictions, references, groups=None):
    return Cases(predictions, references, groups or [str(i) for i in range(len(references))])


def value(name, predictions, references, groups=None):
    return METRICS[name].of(cases(predictions, references, groups))


def two_thirds(n_groups, n_per_group=1):
    """Cases of which two thirds are right, in equal groups that are all right or all wrong."""
    predictions, groups = [], []
    for g in range(n_groups):
        predictions += ["yes" if g % 3 else "no"] * n_per_group
        groups += [f"g{g}"] * n_per_group
    return cases(predictions, ["yes"] * len(predictions), groups)


def interval_of(name, of):
    return interval(METRICS[name].resampled(of))


def width(of):
    low, high = interval_of("accuracy", of)
    return high - low


def test_an_interval_holds_the_value_and_is_narrower_for_more_groups():
    for n_groups in (30, 300):
        low, high = interval_of("accuracy", two_thirds(n_groups))
        assert low < 2 / 3 < high
    # Of independent cases, the deviation is sqrt(p (1 - p) / n): 1.96 of it to both sides.
    for n_groups in (300, 1_200):
        expected = 2 * 1.96 * np.sqrt(2 / 9 / n_groups)
        assert width(two_thirds(n_groups)) == pytest.approx(expected, rel=0.1)


def test_more_clips_of_the_same_speakers_do_not_narrow_an_interval():
    assert width(two_thirds(30, n_per_group=20)) == pytest.approx(width(two_thirds(30)))
    assert width(two_thirds(600)) < 0.3 * width(two_thirds(30, n_per_group=20))


@pytest.mark.parametrize("n_groups", [1, 2, 3, 4])
def test_clips_of_few_speakers_are_resampled_one_by_one(n_groups):
    """Of three speakers with equal scores, samples of whole speakers would not differ."""
    predictions = [["yes", "no", "yes"][i % 3] for i in range(120)]
    groups = [f"g{i * n_groups // 120}" for i in range(120)]
    few = cases(predictions, ["yes"] * 120, groups)
    low, high = interval_of("accuracy", few)
    assert low < 2 / 3 < high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(2 / 9 / 120), rel=0.15)


@pytest.mark.parametrize("name", ["eer", "mtwv"])
def test_pairs_share_clips_so_few_speakers_or_queries_have_no_interval(name):
    rng = np.random.default_rng(0)
    matches = [i % 6 == 0 for i in range(600)]
    scores = [float(rng.normal(4.0 * match)) for match in matches]
    few, enough = ([f"g{i % n}" for i in range(600)] for n in (4, 5))
    assert interval_of(name, cases(scores, matches, few)) is None
    low, high = interval_of(name, cases(scores, matches, enough))
    assert low < high


def test_samples_that_do_not_differ_give_no_interval():
    assert interval_of("accuracy", cases(["a"] * 9, ["a"] * 9)) is None


def test_scores_of_the_same_clips_have_the_same_samples():
    """So the difference of two models is known from their samples, here for one clip that differs.

    Of 40 clips, the clip is drawn k times with a mean and variance of nearly 1.
    """
    first, second = (cases(["yes"] * n + ["no"] * (40 - n), ["yes"] * 40) for n in (20, 21))
    gain = METRICS["accuracy"].resampled(second) - METRICS["accuracy"].resampled(first)
    assert set((gain * 40).round().astype(int)) >= {0, 1, 2, 3}
    assert (gain * 40).mean() == pytest.approx(1, abs=0.1)
    assert (gain * 40).var() == pytest.approx(1, abs=0.15)


def test_a_score_keeps_samples_that_can_be_read_again():
    of = two_thirds(30)
    kept = samples_in(scored(KS, of)["resampled"])
    assert kept == pytest.approx(METRICS["accuracy"].resampled(of)[:N_KEPT], abs=1e-5)
    assert samples_in(scored(KS, cases(["up"], ["up"]))["resampled"]).size == 0


def test_an_interval_leaves_the_global_generator_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()
    interval_of("accuracy", two_thirds(30))
    assert np.random.get_state()[1].tolist() == before


def test_samples_without_a_value_are_left_out_and_without_any_there_is_no_interval():
    eer_metric = METRICS["eer"]
    both = cases([0.9, 0.2, 0.4, 0.6, 0.3], [True, False, True, False, False], list("abcde"))
    low, high = interval_of("eer", both)
    assert 0 <= low <= high <= 1
    only_matches = cases([0.9, 0.2] * 3, [True, True] * 3)
    assert np.isnan(eer_metric.of(only_matches))
    assert interval_of("eer", only_matches) is None


def test_the_order_of_the_cases_does_not_matter():
    of = two_thirds(10, n_per_group=3)
    order = np.random.default_rng(0).permutation(30)
    shuffled = Cases(
        [of.predictions[i] for i in order],
        [of.references[i] for i in order],
        [of.groups[i] for i in order],
    )
    for metric in ("accuracy", "mean_class_accuracy"):
        assert METRICS[metric].of(shuffled) == pytest.approx(METRICS[metric].of(of))


@pytest.mark.parametrize("name", ["accuracy", "wer", "mtwv", "eer"])
def test_the_value_is_that_of_the_cases_in_any_groups(name):
    """Except for queries, groups are only for intervals."""
    rng = np.random.default_rng(0)
    if name in ("eer", "mtwv"):
        pair = rng.normal(size=20).tolist(), ([True, False, False, False] * 5)
    else:
        references = [tuple(word) for word in ["yes", "no"] * 10]
        pair = [references[i] for i in rng.permutation(20)], references
    values = {round(value(name, *pair, groups), 9) for groups in (["a"] * 20, ["a", "b"] * 10)}
    assert len(values) == 1 or name == "mtwv"


def test_rows_of_a_metric_are_resampled_by_whole_groups():
    """Every sample has its groups whole: sums of the two columns keep the ratio of a group."""
    seen = []
    metric = replace(
        METRICS["accuracy"], value=lambda blocks: seen.append([len(b) for b in blocks]) or 0.0
    )

    groups = [name for i, name in enumerate("vwxyz", start=1) for _ in range(i)]
    metric.resampled(cases(["a"] * 15, ["a"] * 15, groups))
    assert {n for sample in seen for n in sample} == {1, 2, 3, 4, 5}
    assert {len(sample) for sample in seen} == {5}


def test_clips_without_a_speaker_are_not_counted_as_speakers():
    groups = [f"speaker {i % 6}" for i in range(12)] + ["clip silence-1", "clip silence-2"]
    score = scored(KS, cases(["up"] * 14, ["up"] * 14, groups))
    assert score["interval_over"] == "6 speakers and 2 clips"
