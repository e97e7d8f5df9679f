"""A recipe is the user's code: whatever goes wrong in it is told with its file and its reason."""

from pathlib import Path

import pytest

from earbit.errors import ConfigError
from earbit.presets import PRESETS, preset
from earbit.pretrain.recipe import load_recipe

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


def test_what_is_neither_preset_nor_file_names_the_presets():
    with pytest.raises(ConfigError, match="unknown preset 'hubert-tyni'; did you mean hubert-tiny"):
        load_recipe("hubert-tyni")
