"""Published schedules: the audio of an update stays the same on any number of GPUs."""

import pytest

from earbit.errors import ConfigError
from earbit.presets import PRESETS
from earbit.pretrain.recipe import load_recipe
from earbit.pretrain.schedules import arithmetic, audio_per_update_s, recipe_with, scheduled


@pytest.mark.parametrize("name", [name for name in PRESETS if not name.endswith("-tiny")])
@pytest.mark.parametrize(("n_ranks", "accumulation"), [(32, 1), (8, 4), (1, 32)])
def test_every_encoder_has_the_steps_and_the_audio_of_the_paper(name, n_ranks, accumulation):
    recipe = recipe_with(name, ["iterations=2"], schedule="paper", n_ranks=n_ranks)
    stages = [recipe.stage(1), recipe.stage(2)]
    assert [one.train.optimiser.n_steps for one in stages] == [250_000, 600_000]
    assert [one.n_units for one in stages] == [100, 500]
    assert [one.train.optimiser.warmup_steps for one in stages] == [20_000, 48_000]  # 8 %
    for one in stages:
        assert one.train.accumulation == accumulation
        assert audio_per_update_s(one.train, n_ranks) == pytest.approx(32 * 36.5)


def test_hubert_base_of_fairseq_has_2800_s_an_update():
    recipe = scheduled(load_recipe("hubert-base"), "fairseq", n_ranks=8)
    assert arithmetic(recipe.train, 8) == (
        "audio per update: 8 ranks x 4 micro-batches x 87.5 s = 2,800 s"
    )
    assert recipe.stage(2).train.optimiser.n_steps == 400_000
    assert recipe.stage(2).train.optimiser.warmup_steps == 32_000


def test_settings_change_a_schedule_and_keep_its_share_of_warm_up():
    settings = ["train.optimiser.n_steps=1000", "train.batch_s=20"]
    train = recipe_with("conformer-s", settings, schedule="paper", n_ranks=32).train
    assert (train.optimiser.warmup_steps, train.batch_s, train.accumulation) == (80, 20, 1)


def test_gpus_that_do_not_divide_those_of_the_schedule_are_refused_with_those_that_do():
    with pytest.raises(ConfigError, match="32 GPUs on 12; allowed: 1, 2, 4, 8, 16, 32, or set"):
        scheduled(load_recipe("hubert-base"), "paper", n_ranks=12)


@pytest.mark.parametrize("n_ranks", [1, 8])
def test_the_recipe_of_the_paper_is_the_command_with_its_schedule(n_ranks):
    recipe = recipe_with("recipes/paper.py", [], schedule=None, n_ranks=n_ranks)
    given = recipe_with("conformer-s", ["iterations=2"], schedule="paper", n_ranks=n_ranks)
    assert recipe.train.optimiser == given.train.optimiser
    assert recipe.train.accumulation == given.train.accumulation == 32 // n_ranks
    assert (recipe.model, recipe.second) == (given.model, given.second)
