"""Opens the models of `earbit propagation`; what does not go together is refused first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from earbit.errors import ConfigError
from earbit.load import preset_or_model, refuse_settings
from earbit.model import AudioModel, ModelConfig
from earbit.model_file import read_model_file
from earbit.model_names import model_path
from earbit.nn.leaves import leaves_of
from earbit.presets import PRESETS
from earbit.quantize.convert import quantized_leaves_of
from earbit.quantize.plan import Plan, plan_named
from earbit.quantize.propagation.stacks import Stack, stack_of

DEFAULT_PLAN = "w1a1"


@dataclass(frozen=True, slots=True)
class Subject:
    """A full-precision model, and what it is compared with: a student, or itself under a plan."""

    teacher: AudioModel
    compared_with: AudioModel | Plan
    stack: Stack


def opened(
    models: Sequence[str],
    plan: str | None,
    teachers: Sequence[str],
    settings: Sequence[str],
    seed: int,
) -> list[Subject]:
    """Presets and full-precision models under a plan, or quantized models with their teachers.

    Raises ConfigError for arguments that do not go together, before any model is read, for models
    that are not what they have to be, and for a plan that quantizes nothing.
    """
    _check(models, plan, teachers, settings)
    if teachers:
        return [_student(*pair) for pair in zip(models, teachers, strict=True)]
    return [_float_model(where, plan or DEFAULT_PLAN, settings, seed) for where in models]


def _check(
    models: Sequence[str], plan: str | None, teachers: Sequence[str], settings: Sequence[str]
) -> None:
    if not models:
        raise ConfigError(f"no model; give models of ours or presets: {', '.join(PRESETS)}")
    if len(set(models)) < len(models):
        raise ConfigError(f"models {', '.join(models)}; give each of them once")
    if teachers:
        if plan is not None:
            raise ConfigError(f"--plan {plan} with --teacher: quantized models have a plan already")
        if len(teachers) != len(models):
            raise ConfigError(
                f"{len(models)} models and {len(teachers)} teachers; give one teacher per model, "
                "in the same order"
            )
    if teachers or any(where not in PRESETS for where in models):
        refuse_settings(settings, "a trained model")


def _float_model(where: str, name_of_plan: str, settings: Sequence[str], seed: int) -> Subject:
    plan = plan_named(name_of_plan)
    model = preset_or_model(where, seed, settings)
    if quantized_leaves_of(model):
        raise ConfigError(
            f"{where}: quantized already; name the full-precision model that it is compared with "
            "by --teacher, or give that model and --plan"
        )
    precisions = plan.quantizing(leaves_of(model))
    quantized = [name for name, precision in precisions.items() if not precision.is_float]
    stack = stack_of(
        model,
        quantized,
        name=where,
        plan=name_of_plan,
        teacher=None,
        is_random=where in PRESETS,
    )
    return Subject(model, plan, stack)


def _student(where: str, teacher_where: str) -> Subject:
    if where in PRESETS:
        raise ConfigError(f"{where}: a preset with --teacher; give a quantized model of ours")
    student, teacher = preset_or_model(where, 0), preset_or_model(teacher_where, 0)
    if not quantized_leaves_of(student):
        raise ConfigError(f"{where}: nothing in it is quantized; leave out --teacher, give --plan")
    if quantized_leaves_of(teacher):
        raise ConfigError(f"--teacher {teacher_where}: quantized; give a full-precision model")
    if _without_head(student.config) != _without_head(teacher.config):
        raise ConfigError(
            f"--teacher {teacher_where}: another architecture than {where}; give the model that it "
            "was made from"
        )
    stack = stack_of(
        teacher,
        quantized_leaves_of(student),
        name=where,
        plan=str(read_model_file(model_path(where)).origin.get("plan", "unknown")),
        teacher=teacher_where,
        is_random=False,
    )
    return Subject(teacher, student, stack)


def _without_head(config: ModelConfig) -> ModelConfig:
    return dataclasses.replace(config, n_units=None, d_unit=1)
