"""Command `earbit pretrain`: trains a model on a corpus and its units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from earbit.config import override, save, to_dict
from earbit.errors import ConfigError
from earbit.files import make_folder, write_json
from earbit.folder_lock import only_process_in
from earbit.model import AudioModel
from earbit.model_file import save_model
from earbit.model_names import MODEL_FILE_NAME
from earbit.pretrain.checkpoint import CHECKPOINTS, check_same_run, steps_done
from earbit.pretrain.loop import train
from earbit.pretrain.objective import masked_units
from earbit.pretrain.recipe import RecipeConfig
from earbit.progress import say
from earbit.run_folder import CONFIG_NAME, check_is_ours, check_kind
from earbit.units.labelled import (
    TrainingData,
    copy_units,
    label_digests,
    labelled,
    training_corpus,
    training_data,
    units_in,
)
from earbit.units.labels import UnitLabels

RESULT_NAME = "result.json"


def pretrain(recipe: RecipeConfig, out_dir: Path) -> dict[str, Any]:
    """Runs a recipe in `out_dir`, or resumes an interrupted run; returns its metrics.

    A finished run is not computed again, and its audio is not opened.  With more steps it goes on
    where its learning rates so far stay the same (`continuation`).  Raises ConfigError, before any
    audio is read, when `out_dir` holds another run or other files, or when another process uses it.
    """
    given = None if recipe.units is None else units_in(Path(recipe.units))
    check_is_ours(out_dir, "recipe")
    check_same_run(out_dir / CHECKPOINTS, _description(recipe, given))
    if (result := _finished(recipe, out_dir)) is not None:
        return result
    units_dir = out_dir / "units"
    with only_process_in(out_dir):
        corpus, waveforms = training_corpus(
            recipe.corpus,
            out_dir,
            resplit=recipe.resplit,
        )
        if recipe.units is None:
            n_units, seed = recipe.n_units, recipe.seed
            data = training_data(corpus, waveforms, units_dir, n_units=n_units, seed=seed)
        else:
            copy_units(Path(recipe.units), units_dir)
            data = labelled(corpus, waveforms, units_in(units_dir))
        return pretrain_on(recipe, data, out_dir)


def _finished(recipe: RecipeConfig, out_dir: Path) -> dict[str, Any] | None:
    """Result of a run that has done all steps and written its model, else None."""
    result_path = out_dir / RESULT_NAME
    is_done = steps_done(out_dir / CHECKPOINTS) == recipe.train.optimiser.n_steps
    if not (is_done and result_path.is_file() and (out_dir / MODEL_FILE_NAME).is_file()):
        return None
    say(f"{out_dir}: the run is finished after {recipe.train.optimiser.n_steps} steps")
    result: dict[str, Any] = json.loads(result_path.read_text(encoding="utf-8"))
    return result


def _description(recipe: RecipeConfig, labels: UnitLabels | None) -> dict[str, Any]:
    """Known settings and digests that determine the result; labels: None before labelling."""
    n_units = recipe.n_units if labels is None else labels.n_units
    complete = override(recipe, [f"model.n_units={n_units}"])
    known = {} if labels is None else label_digests(labels)
    return {"stage": "pretrain", "recipe": to_dict(complete), **known}


def pretrain_on(recipe: RecipeConfig, data: TrainingData, out_dir: Path) -> dict[str, Any]:
    """Runs `pretrain` on data in memory; raises ConfigError if the data has no units."""
    if data.labels is None:
        raise ConfigError("the data has no units; label the corpus with `earbit units`")
    check_kind(out_dir, "recipe")
    run = _description(recipe, data.labels)
    recipe = override(recipe, [f"model.n_units={data.labels.n_units}"])
    check_same_run(make_folder(out_dir) / CHECKPOINTS, run)
    save(recipe, out_dir / CONFIG_NAME)
    # Weights are drawn from torch's global generator, seeded for this block.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = AudioModel(recipe.model)
    # Whoever finds a result finds that of the last step.
    (out_dir / RESULT_NAME).unlink(missing_ok=True)
    objective = masked_units(recipe.train.unmasked_weight)
    figures = train(
        model, data, recipe.train, out_dir, objective=objective, run=run, title="pre-training"
    )
    save_model(model, out_dir / MODEL_FILE_NAME, run | figures)
    result = {"model": str(out_dir / MODEL_FILE_NAME), **figures}
    write_json(out_dir / RESULT_NAME, result)
    return result


def render_pretrained(result: Mapping[str, Any]) -> str:
    """Short text of the result of `pretrain`, for a terminal."""
    shown = {
        "valid_loss": "loss",
        "valid_accuracy": "accuracy",
        "valid_commonest_unit": "of the commonest unit",
    }
    figures = (f"{text} {result[name]:.4g}" for name, text in shown.items() if name in result)
    return f"validation: {', '.join(figures)}\nthe model is {result['model']}"
