"""`earbit pretrain`: corpus, units, training, model file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from earbit.config import override, save, to_dict
from earbit.files import make_folder, write_json
from earbit.model import AudioModel
from earbit.model_file import MODEL_FILE_NAME, save_model
from earbit.pretrain.checkpoint import CHECKPOINTS, check_same_run
from earbit.pretrain.corpus import (
    LABELS,
    copy_units,
    data_digests,
    decoded_corpus,
    labelled,
    training_data,
)
from earbit.pretrain.loop import TrainingData, train
from earbit.pretrain.objective import masked_units
from earbit.pretrain.recipe import RecipeConfig
from earbit.units.labels import UnitLabels


def pretrain(recipe: RecipeConfig, out_dir: Path) -> dict[str, Any]:
    """Runs a recipe into `out_dir`, or goes on where a killed run stopped; returns its figures.

    Raises ConfigError when `out_dir` holds another run.
    """
    make_folder(out_dir)
    corpus, waveforms = decoded_corpus(recipe.corpus, out_dir)
    units_dir = out_dir / "units"
    if recipe.units is None:
        data = training_data(corpus, waveforms, units_dir, n_units=recipe.n_units, seed=recipe.seed)
    else:
        copy_units(Path(recipe.units), units_dir)
        data = labelled(corpus, waveforms, UnitLabels.load(units_dir / LABELS))
    return pretrain_on(recipe, data, out_dir)


def pretrain_on(recipe: RecipeConfig, data: TrainingData, out_dir: Path) -> dict[str, Any]:
    """`pretrain` on data that is in memory already."""
    recipe = override(recipe, [f"model.n_units={data.labels.n_units}"])
    run = {"stage": "pretrain", "recipe": to_dict(recipe), **data_digests(data.labels)}
    check_same_run(make_folder(out_dir) / CHECKPOINTS, run)
    save(recipe, out_dir / "config.json")
    # Weights are drawn from torch's global generator; it is lent the recipe's seed.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = AudioModel(recipe.model)
    objective = masked_units(recipe.train.unmasked_weight)
    figures = train(
        model, data, recipe.train, out_dir, objective=objective, run=run, title="pre-training"
    )
    save_model(model, out_dir / MODEL_FILE_NAME, run | figures)
    result = {"model": str(out_dir / MODEL_FILE_NAME), **figures}
    write_json(out_dir / "result.json", result)
    return result
