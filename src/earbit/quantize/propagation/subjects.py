"""Opens the models to measure, and decides which encoders can be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from earbit.errors import ConfigError
from earbit.load import preset_or_model, refuse_quantized, refuse_settings
from earbit.model import AudioModel, ModelConfig
from earbit.model_file import read_model_file
from earbit.model_names import model_path
from earbit.nn.leaves import leaves_of
from earbit.nn.precision import Precision
from earbit.presets import PRESETS
from earbit.quantize.convert import precisions_of, quantized_leaves_of
from earbit.quantize.plan import Plan, plan_named
from earbit.quantize.propagation.groups import LAYER_ROLES

DEFAULT_PLAN = "w1a1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """The properties of a measured model that decide which others it is compared with."""

    name: str
    plan: str
    teacher: str | None
    """The full-precision model of a trained student."""
    is_random: bool
    is_mixed: bool
    """Whether its layers hold convolution beside attention, quantized or not."""
    quantizes_layers: bool
    n_layers: int
    d_model: int


@dataclass(frozen=True, slots=True)
class Subject:
    """A full-precision model, and its student or the plan that makes one of it."""

    stack: Stack
    teacher: AudioModel
    student: AudioModel | Plan


def opened(
    models: Sequence[str],
    plan: str | None,
    teachers: Sequence[str],
    settings: Sequence[str],
    seed: int,
) -> list[Subject]:
    """Presets and full-precision models under a plan, or quantized models with their teachers.

    Raises ConfigError for arguments that exclude each other, before any model is read, for models
    that are not what they have to be, and for a plan that quantizes nothing.
    """
    if not models:
        raise ConfigError(f"no model; give trained models or presets: {', '.join(PRESETS)}")
    if len(set(models)) < len(models):
        raise ConfigError(f"models {', '.join(models)}; give each of them once")
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
        return [_student(*pair) for pair in zip(models, teachers, strict=True)]
    return [_float_model(where, plan or DEFAULT_PLAN, settings, seed) for where in models]


def _float_model(where: str, name_of_plan: str, settings: Sequence[str], seed: int) -> Subject:
    plan = plan_named(name_of_plan)
    model = preset_or_model(where, seed, settings)
    refuse_quantized(where, model, "give its full-precision model by --teacher")
    return Subject(
        _stack(where, name_of_plan, None, model, plan.quantizing(leaves_of(model))), model, plan
    )


def _student(where: str, teacher_where: str) -> Subject:
    if where in PRESETS:
        raise ConfigError(f"{where}: a preset with --teacher; give a trained quantized model")
    student, teacher = preset_or_model(where, 0), preset_or_model(teacher_where, 0)
    if not quantized_leaves_of(student):
        raise ConfigError(f"{where}: nothing in it is quantized; leave out --teacher, give --plan")
    refuse_quantized(teacher_where, teacher, "give a full-precision model as --teacher")
    if _without_head(student.config) != _without_head(teacher.config):
        raise ConfigError(
            f"--teacher {teacher_where}: another architecture than {where}; give the model that it "
            "was made from"
        )
    plan = str(read_model_file(model_path(where)).origin.get("plan", "unknown"))
    stack = _stack(where, plan, teacher_where, teacher, precisions_of(student))
    return Subject(stack, teacher, student)


def _without_head(config: ModelConfig) -> ModelConfig:
    return dataclasses.replace(config, n_units=None, d_unit=1)


def _stack(
    name: str,
    plan: str,
    teacher: str | None,
    model: AudioModel,
    precisions: Mapping[str, Precision],
) -> Stack:
    roles = {leaf.name: leaf.role for leaf in leaves_of(model)}
    quantized = {roles[name] for name, precision in precisions.items() if not precision.is_float}
    return Stack(
        name=name,
        plan=plan,
        teacher=teacher,
        is_random=name in PRESETS,
        is_mixed={"attention", "convolution"} <= set(roles.values()),
        quantizes_layers=not quantized.isdisjoint(LAYER_ROLES),
        n_layers=model.config.encoder.n_layers,
        d_model=model.config.encoder.d_model,
    )


def pairs_of(stacks: Sequence[Stack]) -> list[tuple[int, int]]:
    """Indices of every mixed stack with every attention-only one of its shape and plan."""
    return [
        (i, j)
        for i, mixed in enumerate(stacks)
        for j, plain in enumerate(stacks)
        if mixed.is_mixed and not plain.is_mixed
        if mixed.quantizes_layers and plain.quantizes_layers
        if (mixed.n_layers, mixed.d_model, mixed.plan)
        == (plain.n_layers, plain.d_model, plain.plan)
    ]


def why_not_compared(stacks: Sequence[Stack]) -> str | None:
    """One line about those of several stacks that are compared with none, or None."""
    paired = {i for pair in pairs_of(stacks) for i in pair}
    left = [one for i, one in enumerate(stacks) if i not in paired]
    if len(stacks) < 2 or not left:
        return None
    listed = ", ".join(f"{s.name} ({s.n_layers} x {s.d_model}, {s.plan})" for s in left)
    return (
        f"not compared: {listed}; a comparison needs a mixed encoder (conformer, squeezeformer) "
        "and an attention-only one (hubert, sparseformer) of equal layers x width (--set "
        "encoder.n_layers=N encoder.d_model=D) and plan, with quantized layers"
    )
