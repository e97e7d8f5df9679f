"""Quantization-aware training in stages; each is the teacher and starting point of the next.

A run has a folder of its own:

    OUT/config.json          what was asked for; every field of it can be set
    OUT/1-w1a2/              a stage: model.safetensors, leaves.txt, log.jsonl, checkpoints/
    OUT/2-w1a1/              the next one, whose teacher is the model of the one before
    OUT/model.safetensors    the model of the last stage
    OUT/leaves.txt           what became of every leaf in it
    OUT/result.json          figures of the teacher and of every stage

Figures of units exist where the data has units and the model a unit head; those of the teacher are
figures of units alone.  A figure that does not exist has no key in result.json.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from earbit.config import load, save, to_dict
from earbit.errors import ConfigError, require_choice
from earbit.files import make_folder, write_json, write_text
from earbit.frames import MIN_SAMPLES
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.model_file import origin_of, save_model
from earbit.model_names import MODEL_FILE_NAME
from earbit.nn.leaves import leaves_of
from earbit.nn.precision import Granularity
from earbit.pretrain.checkpoint import CHECKPOINTS, check_same_run, steps_done
from earbit.pretrain.loop import train, validate
from earbit.pretrain.objective import masked_units
from earbit.pretrain.train_config import TrainConfig
from earbit.progress import say
from earbit.quantize.calibrate import CalibrationConfig
from earbit.quantize.clips import clips_among, read_parts
from earbit.quantize.convert import precisions_of, report_of
from earbit.quantize.plan import Plan, plan_name, plan_named
from earbit.quantize.report import leaves_text
from earbit.quantize.student import student_of
from earbit.quantize.train import LossWeights, check_weights, student_loss
from earbit.run_folder import CONFIG_NAME, check_kind, differences
from earbit.units.labelled import TrainingData


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizeConfig:
    """Configuration of quantization-aware training in stages."""

    plans: tuple[str, ...]
    """Plan of every stage; the teacher of the first is the full-precision model."""
    train: TrainConfig
    """Training settings of every stage."""
    stage_steps: tuple[int, ...] = ()
    """Steps of each stage, with the same fraction of warm-up; empty: `train.optimiser.n_steps`."""
    stage_peak_lrs: tuple[float, ...] = ()
    """Peak learning rate of each stage; empty: `train.optimiser.peak_lr`."""
    weights: LossWeights = LossWeights()
    calibration: CalibrationConfig = CalibrationConfig()
    granularity: Granularity = "channel"
    """Scales of a quantized weight: one per output channel, or one per tensor (BiT)."""
    resplit: bool = False
    """Whether to ignore the `split` of the corpus and draw a new one."""

    def __post_init__(self) -> None:
        if not self.plans:
            raise ConfigError("plans=(); give at least one plan")
        for name, values in (("steps", self.stage_steps), ("peak_lrs", self.stage_peak_lrs)):
            if values and len(values) != len(self.plans):
                raise ConfigError(
                    f"stage_{name}: {len(values)} numbers for {len(self.plans)} plans "
                    f"({' '.join(self.plans)}); give one for each plan, or one for all"
                )
        require_choice(get_args(Granularity), granularity=self.granularity)
        for i in range(len(self.plans)):
            self.training_of(i)

    def training_of(self, i: int) -> TrainConfig:
        """Training settings of stage `i`, from 0; raises ConfigError if they are invalid."""
        optimiser = self.train.optimiser
        if self.stage_steps:
            n_steps = self.stage_steps[i]
            # In whole numbers: a rounded ratio would lose a step.
            warmup_steps = optimiser.warmup_steps * n_steps // optimiser.n_steps
            optimiser = dataclasses.replace(optimiser, n_steps=n_steps, warmup_steps=warmup_steps)
        if self.stage_peak_lrs:
            optimiser = dataclasses.replace(optimiser, peak_lr=self.stage_peak_lrs[i])
        return dataclasses.replace(self.train, optimiser=optimiser)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run."""

    plan: Plan
    title: str
    """Text for messages: `stage 2 of 2: w1a1`."""
    folder: Path
    training: TrainConfig
    run: dict[str, Any]
    """The part of the description that does not depend on data."""


def stages_of(
    config: QuantizeConfig, teacher: AudioModel, out_dir: Path, *, has_units: bool
) -> list[Stage]:
    """Builds and validates all stages of a run in `out_dir` before training.

    has_units: whether the data will have units.  Raises ConfigError for a plan that is unknown,
    matches no leaf or quantizes nothing, for different plans with one name, for weights of losses
    without the required units or unit head, and if `out_dir` holds another run.
    """
    check_weights(config.weights, teacher, has_units=has_units)
    plans = [plan_named(name) for name in config.plans]
    for plan in plans:
        plan.quantizing(leaves_of(teacher))
        if any(plan.name == other.name and plan != other for other in plans):
            raise ConfigError(
                f"plans {' '.join(config.plans)}: two of them are called {plan.name!r} and differ; "
                "rename one of the files"
            )
    # Compared by name, because one file has many paths; rules are compared separately.
    named = dataclasses.replace(config, plans=tuple(plan.name for plan in plans))
    stages = []
    for i, plan in enumerate(plans):
        run = {
            "stage": "quantize",
            "plan": plan.name,
            "rules": plan.described(),
            "config": to_dict(named, without_later=True),
        }
        if i == 0:
            run["teacher"] = weights_digest(teacher)
        folder = out_dir / f"{i + 1}-{plan.name}"
        title = plan.name if len(plans) == 1 else f"stage {i + 1} of {len(plans)}: {plan.name}"
        stages.append(Stage(plan, title, folder, config.training_of(i), run))
    _check_folder(out_dir, stages)
    return stages


def _check_folder(out_dir: Path, stages: list[Stage]) -> None:
    """Raises ConfigError if `out_dir` holds another run."""
    check_kind(out_dir, "quantize")
    if (out_dir / CONFIG_NAME).exists():
        held = to_dict(load(QuantizeConfig, out_dir / CONFIG_NAME), without_later=True)
        held["plans"] = [plan_name(where) for where in held["plans"]]
        differ = differences({"config": held}, {"config": stages[0].run["config"]})
        if differ is not None:
            raise ConfigError(f"{out_dir}: holds {differ}; give another --out")
    # Compares what the configuration lacks: rules of plans, teacher and data.
    for folder in sorted(out_dir.glob("*-*")):
        found = re.fullmatch(r"([0-9]+)-.+", folder.name)
        if found is None:
            continue
        number = int(found[1]) - 1
        mine = stages[number] if 0 <= number < len(stages) else stages[0]
        check_same_run(folder / CHECKPOINTS, mine.run)


def quantize_on(
    teacher: AudioModel, config: QuantizeConfig, data: TrainingData, out_dir: Path
) -> dict[str, Any]:
    """Trains the stages on data in memory, or resumes an interrupted run.

    Returns the content of result.json.  Raises the errors of `stages_of`, and DataError if training
    fails.  Does not modify `teacher`.
    """
    stages = stages_of(config, teacher, out_dir, has_units=data.labels is not None)
    save(config, make_folder(out_dir) / CONFIG_NAME)
    of_teacher = _unit_figures(teacher, data, config.train)
    figures = []
    ancestors: list[str] = []
    for stage in stages:
        ancestors = [*ancestors, weights_digest(teacher)]
        teacher, of_stage = _train_stage(teacher, stage, config, data, ancestors)
        figures.append(of_stage)
    origin = origin_of(stages[-1].folder / MODEL_FILE_NAME)
    save_model(teacher, out_dir / MODEL_FILE_NAME, origin)
    write_text(out_dir / "leaves.txt", leaves_text(report_of(teacher)))
    precisions = {name: str(precision) for name, precision in precisions_of(teacher).items()}
    result = {
        "model": str(out_dir / MODEL_FILE_NAME),
        "precisions": precisions,
        **figures[-1],
        **({"teacher": of_teacher} if of_teacher else {}),
        "stages": figures,
    }
    write_json(out_dir / "result.json", result)
    return result


def _train_stage(
    teacher: AudioModel,
    stage: Stage,
    config: QuantizeConfig,
    data: TrainingData,
    ancestors: list[str],
) -> tuple[AudioModel, dict[str, Any]]:
    """Trains the student of one stage, or resumes it from the folder's checkpoints.

    ancestors: digests of all teachers, of which this stage's is the last.
    """
    run = {**stage.run, **data.digests}
    run.setdefault("teacher", ancestors[-1])
    training, folder = stage.training, make_folder(stage.folder)
    check_same_run(folder / CHECKPOINTS, run)
    _say_where_it_starts(stage)
    clips = _calibration_clips(data, training.seed)
    student = student_of(teacher, stage.plan, clips, config.calibration, config.granularity)
    objective = student_loss(teacher, config.weights, training.unmasked_weight)
    figures = train(
        student,
        data,
        training,
        folder,
        objective=objective,
        run=run,
        title=f"training {stage.title}",
    )
    if not objective.needs_units:
        figures = _unit_figures(student, data, training) | figures
    origin = run | figures | {"ancestors": ancestors}
    save_model(student, folder / MODEL_FILE_NAME, origin)
    write_text(folder / "leaves.txt", leaves_text(report_of(student)))
    steps = {"n_steps": training.optimiser.n_steps}
    return student, {"plan": stage.plan.name, **steps, **figures}


def _unit_figures(model: AudioModel, data: TrainingData, training: TrainConfig) -> dict[str, float]:
    """Validation metrics of the units; empty without units or without a head."""
    if data.labels is None or model.head is None:
        return {}
    return validate(model, data, training, masked_units(training.unmasked_weight))


def _say_where_it_starts(stage: Stage) -> None:
    n_steps, n_done = stage.training.optimiser.n_steps, steps_done(stage.folder / CHECKPOINTS)
    if n_done == n_steps:
        say(f"{stage.title}, is done already")
    elif n_done:
        say(f"{stage.title}, resumes at step {n_done} of {n_steps}")
    else:
        say(f"{stage.title}, {n_steps} steps")


def _calibration_clips(data: TrainingData, seed: int) -> list[np.ndarray]:
    ids = (clip.id for clip in data.train if clip.n_samples >= MIN_SAMPLES)
    return read_parts(data.read, [data.train.named(n) for n in clips_among(ids, seed)], seed)
