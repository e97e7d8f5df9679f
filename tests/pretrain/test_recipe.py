"""A recipe is the user's code: whatever goes wrong in it is told with its file and its reason."""

import dataclasses
from pathlib import Path

import pytest

from earbit.config import save
from earbit.errors import ConfigError
from earbit.presets import PRESETS, preset
from earbit.pretrain.recipe import load_recipe, preset_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.py"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_of_ours_loads_and_can_be_overridden(path):
    assert load_recipe(path, ["train.optimiser.peak_lr=0.25"]).train.optimiser.peak_lr == 0.25


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_module", "no_such_module"),
        ("def recipe(:", "SyntaxError"),
        ("def recipe():\n    return 1 / 0", "division by zero"),
        ("def recipe(n):\n    return n", "TypeError"),
        (
            "from earbit.pretrain.optimiser import OptimiserConfig\n"
            "o = OptimiserConfig(peak_lr=-1.0, n_steps=9, warmup_steps=1)",
            r"peak_lr=-1\.0",
        ),
        ("x = 1", r"must define recipe\(\)"),
        ("def recipe():\n    return {}", r"must define recipe\(\)"),
    ],
)
def test_a_recipe_that_fails_is_a_config_error_with_its_file_and_reason(code, reason, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(code)
    with pytest.raises(ConfigError, match=rf"mine\.py.*{reason}"):
        load_recipe(path)


@pytest.mark.parametrize("setting", ["n_units=1", "seed=-1", f"seed={2**32}"])
def test_units_and_seeds_that_cannot_be_are_refused_before_any_work(setting):
    with pytest.raises(ConfigError, match=setting):
        load_recipe(RECIPES[0], [setting])


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_recipe(name):
    recipe = load_recipe(name, ["train.optimiser.n_steps=40000", "corpus=somewhere"])
    assert recipe.model == preset(name)
    assert recipe.train.optimiser.n_steps == 40_000
    assert recipe.corpus == "somewhere"


@pytest.mark.parametrize(
    ("name", "settings", "n_warmup"),
    [
        ("hubert-tiny", ["n_steps=30"], 6),  # 80 of 400
        ("hubert-tiny", ["n_steps=4000"], 800),
        ("hubert-base", ["n_steps=250"], 32),  # 32,000 of 250,000
        ("hubert-base", [], 32_000),
        ("hubert-tiny", ["n_steps=30", "warmup_steps=2"], 2),
        ("hubert-tiny", ["n_steps=30", "n_steps=60"], 12),
        ("hubert-tiny", ["warmup_steps=2"], 2),
    ],
)
@pytest.mark.parametrize("kind", ["preset", "json", "py"])
def test_the_warm_up_keeps_its_share_unless_it_is_set(kind, name, settings, n_warmup, tmp_path):
    where = name
    if kind == "json":
        where = tmp_path / "mine.json"
        save(load_recipe(name), where)
    elif kind == "py":
        where = tmp_path / "mine.py"
        where.write_text(
            "from earbit.pretrain.recipe import preset_recipe\n"
            f"def recipe(): return preset_recipe({name!r})\n"
        )
    recipe = load_recipe(where, [f"train.optimiser.{setting}" for setting in settings])
    assert recipe.train.optimiser.warmup_steps == n_warmup


def test_a_warm_up_that_is_too_long_is_refused():
    settings = ["train.optimiser.n_steps=30", "train.optimiser.warmup_steps=31"]
    with pytest.raises(ConfigError, match="warmup_steps=31 of n_steps=30"):
        load_recipe("hubert-tiny", settings)


@pytest.mark.parametrize("text", ["abc", "-5", "1.5", "true"])
def test_steps_that_are_no_count_are_refused_without_a_word_of_the_warm_up(text):
    with pytest.raises(ConfigError, match="n_steps") as error:
        load_recipe("hubert-tiny", [f"train.optimiser.n_steps={text}"])
    assert "warmup" not in str(error.value)


def test_what_is_neither_preset_nor_file_names_the_presets():
    for name in ("hubert-tyni", "hubert-small"):
        with pytest.raises(ConfigError) as error:
            load_recipe(name)
        assert str(error.value) == f"unknown preset '{name}'; allowed: {', '.join(PRESETS)}"


@pytest.mark.parametrize(("decay", "n_warmup"), [("null", 20), ("0", 10)])
def test_a_rate_without_decay_has_the_same_warm_up_in_both_iterations(decay, n_warmup):
    settings = [f"train.optimiser.{k}" for k in ("n_steps=50", "warmup_steps=10")]
    recipe = load_recipe(
        "hubert-tiny",
        [*settings, f"train.optimiser.decay_steps={decay}", "second.n_steps=100", "iterations=2"],
    )
    assert recipe.stage(2).train.optimiser.warmup_steps == n_warmup


def test_a_batch_that_is_shorter_than_a_crop_is_refused_with_both_values():
    with pytest.raises(ConfigError, match="batch_s=2, crop_s=6; allowed: crop_s <= batch_s"):
        load_recipe("hubert-tiny", ["train.batch_s=2"])


def test_a_crop_holds_as_many_frames_as_the_shortest_training_clip():
    train = preset_recipe("hubert-tiny").train
    least = 0.205  # 10 frames: 400 samples for the first, 320 for each of nine more
    assert dataclasses.replace(train, crop_s=least).crop_s == least
    for crop_s in (least - 1 / 16_000, 0.03, 0.0):
        with pytest.raises(ConfigError, match=f"crop_s={crop_s}; allowed: 0.205 <= crop_s"):
            dataclasses.replace(train, crop_s=crop_s)
