"""Opens the models to measure and selects comparable encoders."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from earbit.errors import ConfigError
from earbit.load import preset_or_model, refuse_quantized, refuse_settings
from earbit.model import AudioModel
from earbit.model_file import origin_of
from earbit.model_names import distinct_models, model_path
from earbit.nn.evaluation import evaluating
from earbit.nn.leaves import leaves_of
from earbit.presets import PRESETS
from earbit.quantize.calibrate import CalibrationConfig, calibrate
from earbit.quantize.convert import convert, quantized_leaves_of
from earbit.quantize.plan import Plan, plan_named
from earbit.quantize.propagation.hooks import replaced
from earbit.quantize.report import say_rules_without_effect

DEFAULT_PLAN = "w1a1"


@dataclass(frozen=True, slots=True)
class Subject:
    """A full-precision model with its trained student or the plan that quantizes it."""

    name: str
    plan: str
    teacher_name: str | None
    """Name of the full-precision model of a trained student."""
    teacher: AudioModel
    trained: AudioModel | None = None

    def student(self, clips: Sequence[np.ndarray]) -> AudioModel:
        """The trained student, or a copy of the teacher quantized under the plan."""
        return self.trained or calibrated_twin(self.teacher, plan_named(self.plan), clips)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of layers and width of the encoder."""
        return self.teacher.config.encoder.n_layers, self.teacher.config.encoder.d_model

    @property
    def is_mixed(self) -> bool:
        """Whether the model has both convolution and attention blocks, quantized or not."""
        return {"attention", "convolution"} <= {leaf.role for leaf in leaves_of(self.teacher)}


def opened(
    models: Sequence[str],
    plan: str | None,
    teachers: Sequence[str],
    settings: Sequence[str],
    seed: int,
) -> list[Subject]:
    """Opens full-precision models under a plan, or quantized models with their teachers.

    Raises ConfigError for conflicting arguments, before any model is read, for a model of the wrong
    precision or architecture, and for a plan that quantizes no leaf.
    """
    if not models:
        raise ConfigError(f"no model; give trained models or presets: {', '.join(PRESETS)}")
    if teachers and plan is not None:
        raise ConfigError(f"--plan {plan} with --teacher: quantized models have a plan already")
    if teachers and len(teachers) != len(models):
        raise ConfigError(
            f"{len(models)} models and {len(teachers)} teachers; give one teacher per model, in "
            "the same order"
        )
    if teachers or any(where not in PRESETS for where in models):
        refuse_settings(settings, "a trained model")
    if teachers:
        return [_student(*pair) for pair in dict.fromkeys(zip(models, teachers, strict=True))]
    plan = plan or DEFAULT_PLAN
    return [_float_model(where, plan, settings, seed) for where in distinct_models(models)]


def _float_model(where: str, plan: str, settings: Sequence[str], seed: int) -> Subject:
    model = preset_or_model(where, seed, settings)
    refuse_quantized(where, model, "give its full-precision model by --teacher")
    plan_named(plan).quantizing(leaves_of(model))
    say_rules_without_effect(plan_named(plan), leaves_of(model), where)
    return Subject(where, plan, None, model)


def _student(where: str, teacher_where: str) -> Subject:
    student, teacher = preset_or_model(where, 0), preset_or_model(teacher_where, 0)
    if not quantized_leaves_of(student):
        raise ConfigError(f"{where}: nothing in it is quantized; leave out --teacher, give --plan")
    refuse_quantized(teacher_where, teacher, "give a full-precision model as --teacher")
    # The unit head may differ.
    its = teacher.config
    if replace(student.config, n_units=its.n_units, d_unit=its.d_unit) != its:
        raise ConfigError(
            f"--teacher {teacher_where}: another architecture than {where}; give the model that it "
            "was made from"
        )
    plan = str(origin_of(model_path(where)).get("plan") or "unknown")
    return Subject(where, plan, teacher_where, teacher, student)


def calibrated_twin(
    teacher: AudioModel,
    plan: Plan,
    clips: Sequence[np.ndarray],
    calibration: CalibrationConfig | None = None,
) -> AudioModel:
    """Quantized copy of the teacher with scales from full-precision activations only.

    `quantized_copy` calibrates leaf after leaf on quantized inputs.  Here a scale must not depend
    on the quantization of other leaves.  The copy has the training mode of the teacher.
    """
    twin = copy.deepcopy(teacher)
    convert(twin, plan.precisions(leaves_of(twin)))
    quantized = quantized_leaves_of(twin)
    if quantized:
        with evaluating(teacher), replaced(twin, teacher, quantized):
            calibrate(twin, [torch.from_numpy(clip)[None] for clip in clips], calibration)
    return twin


def pairs_of(subjects: Sequence[Subject]) -> list[tuple[int, int]]:
    """Index pairs of mixed and attention-only encoders with equal shape and plan."""
    return [
        (i, j)
        for i, mixed in enumerate(subjects)
        for j, plain in enumerate(subjects)
        if mixed.is_mixed and not plain.is_mixed
        if (mixed.shape, mixed.plan) == (plain.shape, plain.plan)
    ]
