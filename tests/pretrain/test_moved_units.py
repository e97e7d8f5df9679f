"""A run on given units goes on after their folder has moved or is gone."""

import dataclasses

import pytest

from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError, DataError
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.train_config import TrainConfig
from earbit.pretrain.verb import pretrain
from earbit.units.discover import UnitConfig
from earbit.units.verb import units

ENCODER = TransformerConfig(
    n_layers=1, d_model=16, n_heads=2, d_ffn=32, position_kernel=16, layer_drop=0.0
)


@pytest.fixture(scope="module")
def recipe(melodies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("given") / "units"
    units(str(melodies), folder, UnitConfig(n_units=4))
    return RecipeConfig(
        model=ModelConfig(encoder=ENCODER, front_end=FrontEndConfig(n_channels=8)),
        train=TrainConfig(
            optimiser=OptimiserConfig(peak_lr=1e-3, n_steps=2, warmup_steps=1),
            batch_s=4.0,
            crop_s=0.9,
        ),
        corpus=str(melodies),
        units=str(folder),
        n_units=4,
    )


def moved(recipe, folder):
    """The recipe with units at another place, as long as they are there."""
    return dataclasses.replace(recipe, units=str(folder))


def unfinished(out):
    (out / "model.safetensors").unlink()
    (out / "result.json").unlink()


def test_the_units_of_a_run_may_move_or_go(recipe, tmp_path):
    there, elsewhere, out = tmp_path / "units", tmp_path / "elsewhere", tmp_path / "out"
    units(recipe.corpus, there, UnitConfig(n_units=4))
    result = pretrain(moved(recipe, there), out)
    there.rename(elsewhere)
    assert pretrain(moved(recipe, there), out) == result  # the copy of the run
    unfinished(out)
    assert pretrain(moved(recipe, there), out) == result
    unfinished(out)
    assert pretrain(moved(recipe, elsewhere), out) == result
    with pytest.raises(DataError, match="mistyped: no labels.safetensors"):
        pretrain(moved(recipe, tmp_path / "mistyped"), out)


def test_other_units_at_another_place_are_refused(recipe, tmp_path):
    pretrain(recipe, tmp_path / "out")
    units(recipe.corpus, tmp_path / "other", UnitConfig(n_units=4, seed=1))
    with pytest.raises(ConfigError, match="a run with other units; give another"):
        pretrain(moved(recipe, tmp_path / "other"), tmp_path / "out")
