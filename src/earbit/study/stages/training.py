"""Stages that make models: units, pre-training, quantization."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.corpus import write_quarantine
from earbit.audio.quarantine import QUARANTINE_NAME
from earbit.audio.training_corpus import TrainingCorpus
from earbit.config import from_dict
from earbit.distributed import first
from earbit.load import load_model
from earbit.pretrain.hidden import source_of_model
from earbit.pretrain.machine import Machine
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.run_log import LOG_NAME
from earbit.pretrain.train_config import TrainConfig
from earbit.pretrain.verb import pretrain_on
from earbit.quantize.stages import QuantizeConfig, quantize_on
from earbit.study.job import Job
from earbit.units.discover import REPORT, UnitConfig, quality_with, write_units
from earbit.units.labelled import (
    TrainingData,
    copy_units,
    labelled,
    open_training_corpus,
    phone_alignments,
    training_data,
    units_in,
)
from earbit.units.quarantine import lost_ids
from earbit.units.sources import mfcc_source

N_POINTS = 200
"""Most points of a learning curve in the results."""


def units(job: Job) -> dict[str, Any]:
    """Takes given units, or clusters MFCC or a hidden layer of a trained model."""
    corpus, settings = _corpus(job), job.step.settings
    first(lambda: write_quarantine(corpus, job.folder))
    if "labels" in settings:
        first(lambda: _take_units(job))
    else:
        _discover(job, corpus)
    report: dict[str, Any] = json.loads((job.folder / REPORT).read_text(encoding="utf-8"))
    hours = (corpus.train.duration_s + corpus.valid.duration_s) / 3600
    if "labels_of" in report:  # a path of the command that made the units
        report["labels_of"] = Path(report["labels_of"]).name
    return {**report, "hours": hours, "n_quarantined": _n_quarantined(job.folder)}


def _take_units(job: Job) -> None:
    """Copies the given units, and writes a report if they have none."""
    copy_units(Path(job.step.inputs["units"]), job.folder)
    if not (job.folder / REPORT).is_file():
        labels = units_in(job.folder)
        quality = quality_with(labels, phone_alignments(job.step.inputs["corpus"]))
        write_units(job.folder, labels, quality, {})


def _discover(job: Job, corpus: TrainingCorpus) -> None:
    settings = job.step.settings
    config = UnitConfig(
        n_units=settings["n_units"],
        seed=job.step.seed or 0,
        fraction=settings["fraction"],
        memory_gb=settings["memory_gb"],
        workers=_machine(job).workers,
    )
    source = mfcc_source()
    if "model" in job.needs:
        source = source_of_model(
            load_model(job.folder_of("model")),
            str(settings["layer"]),
            job.step.inputs["corpus"],
            lambda: corpus,
            config,
            device=_machine(job).device,
        )
    training_data(job.step.inputs["corpus"], corpus, job.folder, config, source)


def pretrain(job: Job) -> dict[str, Any]:
    """One iteration of the pre-training of an encoder on its units."""
    recipe: RecipeConfig = from_dict(RecipeConfig, job.step.settings["recipe"])
    data = _data(job)
    units_of = None
    if job.step.inputs.get("is_launched"):
        units_of = job.step.inputs["units"] or str(job.folder_of("units"))
    recipe = dataclasses.replace(
        recipe,
        corpus=job.step.inputs["corpus"],
        resplit=bool(job.step.settings["resplit"]),
        units=units_of,
        train=_own(job, recipe.train),
    )
    figures = pretrain_on(recipe, data, job.folder)
    return _training(figures, recipe.train, data, job.folder)


def quantize(job: Job) -> dict[str, Any]:
    """One stage of quantization-aware training, from the model of the stage before it."""
    described = {**job.step.settings["config"], "plans": [job.step.inputs["plan"]]}
    config: QuantizeConfig = from_dict(QuantizeConfig, described)
    config = dataclasses.replace(config, train=_own(job, config.train))
    data = _data(job)
    teacher = load_model(job.folder_of("teacher"))
    figures = quantize_on(teacher, config, data, job.folder)
    log = next(job.folder.glob("1-*"))
    return _training(figures, config.train, data, log)


def _training(
    figures: dict[str, Any], train: TrainConfig, data: TrainingData, folder: Path
) -> dict[str, Any]:
    labels = data.labels
    assert labels is not None
    # Of the frames that the accuracy is of.
    counts = np.zeros(labels.n_units, np.int64)
    for name in data.valid.ids:
        counts += np.bincount(labels.by_id[name], minlength=labels.n_units)
    return {
        "n_steps": train.optimiser.n_steps,
        "valid_accuracy": figures.get("valid_accuracy"),
        "valid_loss": figures.get("valid_loss"),
        "commonest_unit": float(counts.max() / max(counts.sum(), 1)),
        "curve": curve_of(folder / LOG_NAME),
    }


def curve_of(path: Path) -> dict[str, list[Any]]:
    """Loss and accuracy of a training by step, in at most N_POINTS points."""
    lines: Sequence[dict[str, Any]] = [
        json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()
    ]
    lines = [line for line in lines if "loss" in line]
    every = max(1, -(-len(lines) // N_POINTS))
    chosen = [line for i, line in enumerate(lines) if i % every == 0 or i == len(lines) - 1]
    return {name: [line.get(name) for line in chosen] for name in ("step", "loss", "accuracy")}


def _corpus(job: Job) -> TrainingCorpus:
    return _opened(job.step.inputs["corpus"], bool(job.step.settings["resplit"]))


@functools.cache
def _opened(where: str, resplit: bool) -> TrainingCorpus:
    """A corpus, opened once in each process."""
    return open_training_corpus(where, resplit=resplit)


def _data(job: Job) -> TrainingData:
    folder = job.folder_of("units")
    return labelled(_corpus(job), units_in(folder), lost_ids(folder))


def _own(job: Job, train: TrainConfig) -> TrainConfig:
    """The training with settings of this machine, which do not change its result."""
    return dataclasses.replace(train, machine=_machine(job))


def _machine(job: Job) -> Machine:
    return from_dict(Machine, job.step.inputs["machine"])


def _n_quarantined(folder: Path) -> int:
    """Number of files of the corpus that cannot be used."""
    path = folder / QUARANTINE_NAME
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0
