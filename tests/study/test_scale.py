"""Scales: every value is one that the stages accept."""

from dataclasses import replace

import pytest

from earbit.errors import ConfigError
from earbit.nn.filterbank import FilterbankConfig
from earbit.study.request import Request
from earbit.study.scale import SCALES, changed, scale_named
from earbit.superb.tasks import TASKS
from earbit.superb.work import Settings


@pytest.mark.parametrize("name", SCALES)
def test_every_scale_has_recipes_stages_and_protocols(name):
    scale = SCALES[name]
    Request(scale_name=name, scale=scale).check()
    for task in TASKS.values():
        chosen = Settings(n_steps=scale.head_steps, tasks=scale.heads)
        protocol = chosen.of(task, hours=0.5)[1]
        assert protocol.n_checks <= protocol.n_steps
    assert set(scale.heads) <= set(TASKS)


def test_the_tiny_models_have_a_front_end_with_nothing_to_quantize():
    for encoder in SCALES["tiny"].encoders:
        config = SCALES["tiny"].recipe(encoder, "synthetic", 0).model
        assert isinstance(config.front_end, FilterbankConfig)


def test_the_other_models_have_a_front_end_that_learns_in_one_bit():
    for name in ("small", "full"):
        front_end = SCALES[name].recipe("hubert-base", "synthetic", 0).model.front_end
        assert (front_end.norm, front_end.shortcut) == ("batch", True)


def test_the_paper_trains_for_250_and_600_thousand_steps_on_32_processes():
    scale = SCALES["full"]
    recipe = scale.recipe("hubert-base", "librispeech", 0)
    steps = [recipe.stage(i).train.optimiser.n_steps for i in (1, 2)]
    assert (steps, scale.ranks, recipe.train.batch_s) == ([250_000, 600_000], 32, 36.5)


def test_settings_and_steps_change_a_scale():
    scale = changed(
        SCALES["tiny"],
        settings=("train.batch_s=24", "quantize.weights.logits=0"),
        pretrain_steps=7,
        quantize_steps=(3, 5),
        head_steps=9,
    )
    recipe = scale.recipe("hubert-tiny", "synthetic", 0)
    assert (recipe.train.batch_s, recipe.train.optimiser.n_steps) == (24, 7)
    for stage, n_steps in enumerate((3, 5)):
        config = scale.quantize("w1a1", 0, stage=stage, train=recipe.train)
        assert config.train.optimiser.n_steps == n_steps
        assert (config.train.batch_s, config.weights.logits) == (24, 0)
    assert scale.head_steps == 9


def test_an_unknown_scale_is_answered_with_the_one_that_resembles_it():
    with pytest.raises(ConfigError, match="did you mean tiny"):
        scale_named("tin")


def test_jobs_share_the_cores(monkeypatch):
    monkeypatch.setattr("earbit.study.request.n_cores", lambda: 8)
    tiny = Request(scale_name="tiny", scale=SCALES["tiny"])
    assert (tiny.n_jobs, tiny.threads) == (8, 1)
    assert replace(tiny, jobs=2).threads == 4
    small = Request(scale_name="small", scale=SCALES["small"])
    assert (small.n_jobs, small.threads) == (1, 8)
