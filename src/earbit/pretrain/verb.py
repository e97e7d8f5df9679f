"""Command `earbit pretrain`: trains a model on a corpus and its units."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from earbit.audio.corpus import write_quarantine
from earbit.audio.training_corpus import Opened
from earbit.config import load, override, save, to_dict
from earbit.distributed import first, only_run_in
from earbit.errors import ConfigError
from earbit.files import make_folder, write_json, write_whole
from earbit.load import load_model
from earbit.model import AudioModel
from earbit.model_file import save_model
from earbit.model_names import MODEL_FILE_NAME
from earbit.nn.devices import device_named
from earbit.pretrain.checkpoint import (
    CHECKPOINTS,
    check_same_run,
    description_in,
    steps_done,
)
from earbit.pretrain.hidden import require_phones, source_of_model
from earbit.pretrain.loop import train
from earbit.pretrain.objective import masked_units
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.run_log import require_tensorboard
from earbit.progress import say
from earbit.run_folder import CONFIG_NAME, check_is_ours, check_kind, held_by
from earbit.units.discover import LABELS
from earbit.units.labelled import (
    TrainingData,
    copy_units,
    label_digests,
    labelled,
    open_training_corpus,
    phone_alignments,
    training_data,
    units_in,
)
from earbit.units.labels import UnitLabels
from earbit.units.quarantine import lost_ids
from earbit.units.sources import FeatureSource, mfcc_source

UNITS = "units"
"""Folder of the units in that of a run."""
RESULT_NAME = "result.json"


def pretrain(recipe: RecipeConfig, out_dir: Path) -> dict[str, Any]:
    """Runs a recipe in `out_dir`, or resumes an interrupted run; returns its metrics.

    Of two iterations, OUT/1 and OUT/2 each hold the run of one, and OUT/model.safetensors is that
    of the second; the units of OUT/2 are those of a layer of the model in OUT/1.  Finished
    iterations are not computed again, and their audio is not opened.  With more steps a run goes on
    where its learning rates so far stay the same (`continuation`).  Raises ConfigError, before any
    audio is read, when `out_dir` holds another run or other files, or when another process uses it.
    """
    check_is_ours(out_dir, "recipe")
    # Raise their errors before units are computed.
    device_named(recipe.train.machine.device)
    if recipe.train.tensorboard:
        require_tensorboard()
    opened = functools.cache(lambda: open_training_corpus(recipe.corpus, resplit=recipe.resplit))
    if recipe.iterations == 1:
        if (out_dir / "1" / CONFIG_NAME).is_file():
            raise ConfigError(f"{out_dir}: holds a run of two iterations; give another --out")
        _check_stage(recipe, out_dir, opened)
        return _iteration(recipe, out_dir, opened)
    folders = {number: out_dir / str(number) for number in (1, 2)}
    stages = {number: recipe.stage(number) for number in (1, 2)}
    _check_two(recipe, stages, folders, out_dir, opened)
    with only_run_in(out_dir):
        first(lambda: _check_phones(recipe, folders[2] / UNITS, opened))
        first(lambda: _begin(recipe, stages[2], folders[2], out_dir))
        say(f"iteration 1 of 2, in {folders[1]}")
        one = _iteration(stages[1], folders[1], opened)
        say(f"iteration 2 of 2, in {folders[2]}")
        two = _iteration(stages[2], folders[2], opened, lambda: _hidden(recipe, folders, opened))
        result = {**two, "model": str(out_dir / MODEL_FILE_NAME), "first": one}

        def finish() -> None:
            source = folders[2] / MODEL_FILE_NAME
            write_whole(out_dir / MODEL_FILE_NAME, functools.partial(shutil.copyfile, source))
            write_json(out_dir / RESULT_NAME, result)

        first(finish)
    return result


def _begin(recipe: RecipeConfig, second: RecipeConfig, folder: Path, out_dir: Path) -> None:
    """Saves the recipe of two iterations; a result of fewer steps than it has is removed."""
    if not _is_finished(second, folder):
        (out_dir / RESULT_NAME).unlink(missing_ok=True)
    save(recipe, out_dir / CONFIG_NAME)


def _check_two(
    recipe: RecipeConfig,
    stages: Mapping[int, RecipeConfig],
    folders: Mapping[int, Path],
    out_dir: Path,
    opened: Opened,
) -> None:
    """Raises ConfigError if a folder holds a run of one iteration, or another run of two."""
    if (out_dir / CHECKPOINTS).exists():
        raise ConfigError(f"{out_dir}: holds a run of one iteration; give another --out")
    for number, stage in stages.items():
        _check_stage(stage, folders[number], opened)
    if not (folders[2] / UNITS / LABELS).is_file():
        return
    held = load(RecipeConfig, out_dir / CONFIG_NAME)
    if held.second.layer != recipe.second.layer:
        raise ConfigError(
            f"{out_dir}: holds a run with second.layer={held.second.layer}, here "
            f"second.layer={recipe.second.layer}; give another --out"
        )
    # The model of the first iteration is that of the units of the second.
    n_done, n_steps = steps_done(folders[1] / CHECKPOINTS), stages[1].train.optimiser.n_steps
    if n_done != n_steps:
        raise ConfigError(
            f"{out_dir}: the second iteration has units of the first model after {n_done} steps, "
            f"here n_steps={n_steps}; only second.n_steps can change, or give another --out"
        )


def _check_stage(stage: RecipeConfig, folder: Path, opened: Opened) -> None:
    """Raises ConfigError, before any audio is read, if a folder holds another run or files.

    A corpus in another place is opened, and its digest compared.
    """
    given = None if stage.units is None else units_in(_given_units(stage.units, folder))
    check_is_ours(folder, "recipe")
    known = _description(stage, given)
    held = description_in(folder / CHECKPOINTS)
    if held is not None and held.get("recipe", {}).get("corpus") != stage.corpus:
        known["corpus"] = opened().digest
    check_same_run(folder / CHECKPOINTS, known)


def _given_units(where: str, folder: Path) -> Path:
    """The given units of a run, or its copy of them if they are gone."""
    given, copy = Path(where), folder / UNITS
    if given.exists() or not (copy / LABELS).is_file():
        return given
    held = held_by(folder)
    return copy if held is not None and held.get("units") == where else given


def _check_phones(recipe: RecipeConfig, units_dir: Path, opened: Opened) -> None:
    """Raises DataError, before the first iteration, if `auto` cannot choose a layer."""
    if recipe.second.layer == "auto" and _layer_in(units_dir) is None:
        require_phones(opened(), phone_alignments(recipe.corpus))


def _hidden(recipe: RecipeConfig, folders: Mapping[int, Path], opened: Opened) -> FeatureSource:
    """Features of the second iteration: a layer of the first model."""
    return source_of_model(
        load_model(folders[1] / MODEL_FILE_NAME),
        str(recipe.second.layer),
        recipe.corpus,
        opened,
        recipe.stage(2).unit_config,
        device=recipe.train.machine.device,
        precision=recipe.train.precision,
        known=_layer_in(folders[2] / UNITS),
    )


def _layer_in(units_dir: Path) -> int | None:
    """Layer of existing units, which need not be chosen again."""
    if not (units_dir / LABELS).is_file():
        return None
    return UnitLabels.load(units_dir / LABELS).header.layer


def _iteration(
    recipe: RecipeConfig,
    out_dir: Path,
    opened: Opened,
    source: Callable[[], FeatureSource] = mfcc_source,
) -> dict[str, Any]:
    """Runs one iteration on units of the features that `source` returns, or on given units."""
    if (result := _finished(recipe, out_dir)) is not None:
        return result
    units_dir = out_dir / UNITS
    with only_run_in(out_dir):
        corpus = opened()
        first(lambda: write_quarantine(corpus, out_dir))
        if recipe.units is None:
            data = training_data(recipe.corpus, corpus, units_dir, recipe.unit_config, source())
        else:
            given = _given_units(recipe.units, out_dir)
            first(lambda: None if given == units_dir else copy_units(given, units_dir))
            data = labelled(corpus, units_in(units_dir), lost_ids(units_dir))
        return pretrain_on(recipe, data, out_dir)


def _finished(recipe: RecipeConfig, out_dir: Path) -> dict[str, Any] | None:
    """Result of a run that has done all steps and written its model, else None."""
    if not _is_finished(recipe, out_dir):
        return None
    say(f"{out_dir}: the run is finished after {recipe.train.optimiser.n_steps} steps")
    result: dict[str, Any] = json.loads((out_dir / RESULT_NAME).read_text(encoding="utf-8"))
    return result


def _is_finished(recipe: RecipeConfig, out_dir: Path) -> bool:
    is_done = steps_done(out_dir / CHECKPOINTS) == recipe.train.optimiser.n_steps
    return is_done and all((out_dir / n).is_file() for n in (RESULT_NAME, MODEL_FILE_NAME))


def _description(recipe: RecipeConfig, labels: UnitLabels | None) -> dict[str, Any]:
    """Known settings and digests that determine the result; labels: None before labelling."""
    n_units = recipe.n_units if labels is None else labels.n_units
    complete = to_dict(override(recipe, [f"model.n_units={n_units}"]), without_later=True)
    del complete["iterations"], complete["second"]
    known = {} if labels is None else label_digests(labels)
    return {"stage": "pretrain", "recipe": complete, **known}


def pretrain_on(recipe: RecipeConfig, data: TrainingData, out_dir: Path) -> dict[str, Any]:
    """Runs `pretrain` on data in memory; raises ConfigError if the data has no units."""
    if data.labels is None:
        raise ConfigError("the data has no units; label the corpus with `earbit units`")
    check_kind(out_dir, "recipe")
    run = _description(recipe, data.labels)
    recipe = override(recipe, [f"model.n_units={data.labels.n_units}"])
    check_same_run(out_dir / CHECKPOINTS, run)
    first(lambda: save(recipe, make_folder(out_dir) / CONFIG_NAME))
    # Weights are drawn from torch's global generator, seeded for this block.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = AudioModel(recipe.model)
    # Whoever finds a result finds that of the last step.
    first(lambda: (out_dir / RESULT_NAME).unlink(missing_ok=True))
    objective = masked_units(recipe.train.unmasked_weight)
    figures = train(
        model, data, recipe.train, out_dir, objective=objective, run=run, title="pre-training"
    )
    result = {"model": str(out_dir / MODEL_FILE_NAME), **figures}

    def finish() -> None:
        save_model(model, out_dir / MODEL_FILE_NAME, run | figures)
        write_json(out_dir / RESULT_NAME, result)

    first(finish)
    return result


def render_pretrained(result: Mapping[str, Any]) -> str:
    """Short text of the result of `pretrain`, for a terminal."""
    shown = {"valid_loss": "loss", "valid_accuracy": "accuracy"}
    figures = (f"{text} {result[name]:.4g}" for name, text in shown.items() if name in result)
    return f"validation: {', '.join(figures)}\nthe model is {result['model']}"
