"""`earbit binarize`: convert by a plan, calibrate, train with quantization in the loop."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earbit.config import from_dict, override, to_dict
from earbit.errors import ConfigError, DataError
from earbit.files import make_folder, write_json, write_text
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.model_file import MODEL_FILE_NAME, read_model_file, save_model
from earbit.nn.front_end import MIN_SAMPLES
from earbit.presets import PRESETS
from earbit.pretrain.checkpoint import CHECKPOINTS, check_same_run
from earbit.pretrain.corpus import LABELS, data_digests, decoded_corpus, labelled, training_data
from earbit.pretrain.loop import TrainConfig, TrainingData, train
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.recipe import RecipeConfig
from earbit.quantize.calibrate import CalibrationConfig
from earbit.quantize.convert import leaves_of, precisions_of, report_of
from earbit.quantize.load import model_path, preset_or_model, random_model, student_of
from earbit.quantize.plan import Plan, plan_named
from earbit.quantize.train import LossWeights, student_loss
from earbit.units.apply import label_with
from earbit.units.kmeans import KMeans
from earbit.units.labels import UnitLabels

N_CALIBRATION_CLIPS = 16
N_UNITS_OF_PRESETS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class BinarizeConfig:
    """Quantization-aware training in stages, each the teacher and the start of the next."""

    plans: tuple[str, ...]
    """One for each stage; the first learns from the full-precision model (multi-distillation)."""
    train: TrainConfig
    """Of every stage."""
    weights: LossWeights = LossWeights()
    calibration: CalibrationConfig = CalibrationConfig()

    def __post_init__(self) -> None:
        if not self.plans:
            raise ConfigError("plans=(); give at least one plan")


def stage_plans(config: BinarizeConfig, teacher: AudioModel) -> list[Plan]:
    """The plans of all stages, before any of them is trained.

    Raises ConfigError for one that is unknown, matches no leaf or quantizes nothing.
    """
    plans = [plan_named(name) for name in config.plans]
    for plan in plans:
        precisions = plan.precisions(leaves_of(teacher))
        if all(precision.is_float for precision in precisions.values()):
            raise ConfigError(f"plan {plan.name!r} quantizes nothing; the model is its own result")
    return plans


def default_config(
    plans: tuple[str, ...], n_steps: int, seed: int, origin: Mapping[str, Any] | None = None
) -> BinarizeConfig:
    """Stages of `n_steps` with a tenth of warm-up; batches and masks as in the pre-training.

    origin: of the model file, where it has one.
    """
    optimiser = OptimiserConfig(peak_lr=1e-3, n_steps=n_steps, warmup_steps=n_steps // 10)
    if origin is None or "recipe" not in origin:
        return BinarizeConfig(plans=plans, train=TrainConfig(optimiser=optimiser, seed=seed))
    recipe: RecipeConfig = from_dict(RecipeConfig, origin["recipe"], where="recipe of the model")
    again = dataclasses.replace(recipe.train, optimiser=optimiser, seed=seed)
    return BinarizeConfig(plans=plans, train=again)


def binarize(
    where: str,
    plans: tuple[str, ...],
    corpus: str,
    out_dir: Path,
    *,
    n_steps: int,
    seed: int,
    settings: Sequence[str] = (),
) -> dict[str, Any]:
    """Quantizes a trained model of ours on a corpus; units are those of its own pre-training.

    A preset has random weights from the seed, and finds units of its own, to try things out.
    settings: `a.b=value` changes of the `BinarizeConfig`.
    Raises ConfigError for a model without a unit head or that is quantized already, a plan that is
    unknown or quantizes nothing, DataError for a model whose folder lacks its units.
    """
    origin = None
    if where not in PRESETS:
        teacher = preset_or_model(where, seed)
        origin = read_model_file(model_path(where)).origin
    config = override(default_config(plans, n_steps, seed, origin), settings)
    if where in PRESETS:
        preset = dataclasses.replace(PRESETS[where](), n_units=N_UNITS_OF_PRESETS)
        teacher = random_model(preset, seed).eval()
    stage_plans(config, teacher)
    if any(not precision.is_float for precision in precisions_of(teacher).values()):
        raise ConfigError(
            f"{where}: quantized already; give the full-precision model that it was made from"
        )
    if teacher.config.n_units is None:
        raise ConfigError(f"{where}: no unit head; give a model that was pre-trained")
    kmeans_digest = None if origin is None else origin.get("kmeans")
    data = _data_for(where, teacher.config.n_units, corpus, out_dir, seed, kmeans_digest)
    return binarize_on(teacher, config, data, out_dir)


def binarize_on(
    teacher: AudioModel, config: BinarizeConfig, data: TrainingData, out_dir: Path
) -> dict[str, Any]:
    """`binarize` on data that is in memory already.

    Several stages have a folder each, `OUT/1-w1a2` and so on; the last one's model is OUT's.
    """
    plans = stage_plans(config, teacher)
    n_stages = len(plans)
    folders = [
        out_dir if n_stages == 1 else out_dir / f"{i}-{plan.name}"
        for i, plan in enumerate(plans, start=1)
    ]
    stages = []
    for plan, folder in zip(plans, folders, strict=True):
        teacher, stage = _train_stage(teacher, plan, config, data, folder)
        stages.append(stage)
    if n_stages > 1:
        origin = read_model_file(folders[-1] / MODEL_FILE_NAME).origin
        save_model(teacher, out_dir / MODEL_FILE_NAME, origin)
        _write_leaves(teacher, out_dir)
    precisions = {name: str(precision) for name, precision in precisions_of(teacher).items()}
    result = {
        "model": str(out_dir / MODEL_FILE_NAME),
        "precisions": precisions,
        **stages[-1],
        "stages": stages,
    }
    write_json(out_dir / "result.json", result)
    return result


def _train_stage(
    teacher: AudioModel, plan: Plan, config: BinarizeConfig, data: TrainingData, folder: Path
) -> tuple[AudioModel, dict[str, Any]]:
    """The student of one stage and its figures; goes on where the folder's checkpoints end."""
    rules = {pattern: str(precision) for pattern, precision in plan.rules}
    run = {
        "stage": "binarize",
        "plan": plan.name,
        "rules": rules,
        "config": to_dict(config),
        "teacher": weights_digest(teacher),
        **data_digests(data.labels),
    }
    check_same_run(make_folder(folder) / CHECKPOINTS, run)
    clips = _calibration_clips(data, config.train.seed)
    student = student_of(teacher, plan, clips, config.calibration)
    objective = student_loss(teacher, config.weights, config.train.unmasked_weight)
    title = f"{plan.name} training"
    figures = train(student, data, config.train, folder, objective=objective, run=run, title=title)
    save_model(student, folder / MODEL_FILE_NAME, run | figures)
    _write_leaves(student, folder)
    return student, {"plan": plan.name, **figures}


def _write_leaves(student: AudioModel, folder: Path) -> None:
    write_text(folder / "leaves.txt", "".join(f"{leaf}\n" for leaf in report_of(student)))


def _data_for(
    where: str, n_units: int, corpus: str, out_dir: Path, seed: int, kmeans_digest: str | None
) -> TrainingData:
    """The corpus with labels of the k-means model that the model was pre-trained on."""
    opened, waveforms = decoded_corpus(corpus, out_dir)
    if where in PRESETS:
        return training_data(opened, waveforms, out_dir / "units", n_units=n_units, seed=seed)
    path = model_path(where)
    # `pretrain` writes its units beside the model, `study` once for all its models.
    for folder in (parent / "units" for parent in path.absolute().parents[:3]):
        if not (folder / LABELS).is_file():
            continue
        labels = UnitLabels.load(folder / LABELS)
        if labels.header.kmeans_digest != kmeans_digest:
            continue
        if labels.corpus_digest != opened.digest:
            kmeans = KMeans.load(folder / "kmeans.safetensors")
            labels = label_with(kmeans, waveforms, corpus_digest=opened.digest)
        return labelled(opened, waveforms, labels)
    raise DataError(
        f"{path.parent}/units: the units that {path.name} was trained on are not there; "
        "keep the folder of `earbit pretrain` together"
    )


def _calibration_clips(data: TrainingData, seed: int) -> list[np.ndarray]:
    """Some clips of the training part, drawn by the seed: neighbours often share a speaker."""
    ids = sorted(cut.id for cut in data.train if data.waveforms[cut.id].size >= MIN_SAMPLES)
    chosen = random.Random(seed).sample(ids, min(N_CALIBRATION_CLIPS, len(ids)))
    return [data.waveforms[name] for name in chosen]
