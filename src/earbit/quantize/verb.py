"""`earbit quantize`: a trained model and a corpus, looked over and opened, for the stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit.config import from_dict, override
from earbit.errors import ConfigError, DataError
from earbit.folder_lock import only_process_in
from earbit.load import preset_or_model, random_model, refuse_quantized
from earbit.model import AudioModel
from earbit.model_file import read_model_file
from earbit.model_names import model_path
from earbit.nn.leaves import leaves_of
from earbit.nn.precision import W1A1
from earbit.presets import PRESETS, preset
from earbit.pretrain.loop import TrainConfig
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.recipe import RecipeConfig
from earbit.progress import say
from earbit.quantize.stages import QuantizeConfig, quantize_on, stages_of
from earbit.run_folder import check_is_ours
from earbit.units.apply import label_with
from earbit.units.kmeans import KMeans
from earbit.units.labelled import (
    LABELS,
    TrainingData,
    labelled,
    training_corpus,
    training_data,
)
from earbit.units.labels import UnitLabels

N_UNITS_OF_PRESETS = 100
STEPS_SETTING = "train.optimiser.n_steps="


def default_config(
    plans: tuple[str, ...],
    n_steps: tuple[int, ...],
    seed: int,
    origin: Mapping[str, Any] | None = None,
) -> QuantizeConfig:
    """Stages with a tenth of warm-up; batches and masks as in the pre-training.

    n_steps: of all stages, or of each;  origin: of the model file, where it has one.
    """
    if not n_steps:
        raise ConfigError("--n-steps without a number; give one for all stages, or one for each")
    first = n_steps[0]
    optimiser = OptimiserConfig(peak_lr=1e-3, n_steps=first, warmup_steps=first // 10)
    train = TrainConfig(optimiser=optimiser, seed=seed)
    if origin is not None and "recipe" in origin:
        recipe: RecipeConfig = from_dict(RecipeConfig, origin["recipe"], "recipe of the model")
        train = dataclasses.replace(recipe.train, optimiser=optimiser, seed=seed)
    return QuantizeConfig(plans=plans, train=train, stage_steps=n_steps if len(n_steps) > 1 else ())


def quantize(
    where: str,
    plans: tuple[str, ...],
    corpus: str,
    out_dir: Path,
    *,
    n_steps: tuple[int, ...],
    seed: int,
    settings: Sequence[str] = (),
    resplit: bool = False,
) -> dict[str, Any]:
    """Quantizes a trained model of ours on a corpus; units are those of its own pre-training.

    A preset has random weights from the seed, and finds units of its own, to try things out.
    n_steps: one number for all stages, or one for each.  settings: `a.b=value` changes of the
    `QuantizeConfig`.  resplit: ignores the `split` of the corpus and draws a new one.  Before any
    audio is read it raises ConfigError for a model without a unit head or that is quantized
    already, for what `stages_of` refuses and for a folder of other files, and DataError for a model
    whose folder lacks its units.
    """
    if len(n_steps) > 1 and any(setting.startswith(STEPS_SETTING) for setting in settings):
        steps = " ".join(map(str, n_steps))
        raise ConfigError(f"--n-steps {steps} and --set {STEPS_SETTING}...; give one of them")
    if where in PRESETS:
        shape = dataclasses.replace(preset(where), n_units=N_UNITS_OF_PRESETS)
        teacher, origin = random_model(shape, seed).eval(), None
    else:
        teacher = preset_or_model(where, seed)
        origin = read_model_file(model_path(where)).origin
        cure = "give the full-precision model that it was made from"
        refuse_quantized(where, teacher, cure)
    config = override(default_config(plans, n_steps, seed, origin), settings)
    config = dataclasses.replace(config, resplit=config.resplit or resplit)
    if teacher.config.n_units is None:
        raise ConfigError(f"{where}: no unit head; give a model that was pre-trained")
    check_is_ours(out_dir, "quantize")
    stages = stages_of(config, teacher, out_dir)
    units = None if origin is None else _units_beside(model_path(where), origin.get("kmeans"))
    for stage in stages:
        if _is_hopeless(teacher, stage.plan.precisions(leaves_of(teacher))):
            say(
                f"{stage.plan.name}: 1-bit convolutions learn little in a front end without batch "
                "norm and shortcuts; pre-train with --set model.front_end.norm=batch "
                "model.front_end.shortcut=true, or take the plan w1a1-encoder"
            )
            break
    with only_process_in(out_dir):
        data = _data_for(corpus, out_dir, units, seed, resplit=config.resplit)
        return quantize_on(teacher, config, data, out_dir)


def _is_hopeless(model: AudioModel, precisions: Mapping[str, Any]) -> bool:
    """Whether convolutions get one bit that have no path without bits; docs/quantization.md."""
    front_end = model.config.front_end
    is_binary = any(
        name.startswith("front_end.") and precision == W1A1
        for name, precision in precisions.items()
    )
    return is_binary and not (front_end.norm == "batch" and front_end.shortcut)


def _units_beside(path: Path, kmeans_digest: str | None) -> Path:
    """The folder of the units that a model was pre-trained on; DataError when it is not there."""
    # `pretrain` writes its units beside the model, `study` once for all its models.
    for folder in (parent / "units" for parent in path.absolute().parents[:3]):
        if (folder / LABELS).is_file():
            labels = UnitLabels.load(folder / LABELS)
            if labels.header.kmeans_digest == kmeans_digest:
                return folder
    raise DataError(
        f"{path.parent}/units: the units that {path.name} was trained on are not there; "
        "keep the folder of `earbit pretrain` together"
    )


def _data_for(
    corpus: str, out_dir: Path, units: Path | None, seed: int, *, resplit: bool
) -> TrainingData:
    """The corpus with labels of the k-means model in `units`, or of one of its own."""
    opened, waveforms = training_corpus(corpus, out_dir, resplit=resplit)
    if units is None:
        n_units = N_UNITS_OF_PRESETS
        return training_data(opened, waveforms, out_dir / "units", n_units=n_units, seed=seed)
    labels = UnitLabels.load(units / LABELS)
    if labels.corpus_digest != opened.digest:
        kmeans = KMeans.load(units / "kmeans.safetensors")
        labels = label_with(kmeans, waveforms, corpus_digest=opened.digest)
    return labelled(opened, waveforms, labels)
