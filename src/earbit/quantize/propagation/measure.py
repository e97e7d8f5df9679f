"""Measures errors of a quantized model (student) against the full-precision model (teacher).

Every module is measured `alone`, quantized on the inputs of the teacher, and `accumulated`, in the
student.  Then groups of student leaves replace leaves of the teacher, and the hidden states of the
teacher are compared.  As a control, independent noise replaces quantization.  See
docs/propagation.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earbit.errors import ConfigError
from earbit.model import AudioModel, ModelOutput
from earbit.nn.evaluation import evaluating
from earbit.nn.leaves import Leaf, layer_of, leaves_of
from earbit.nn.precision import FLOAT, Precision
from earbit.nn.roles import Role
from earbit.progress import progress
from earbit.quantize.propagation.error_sums import ErrorSums
from earbit.quantize.propagation.groups import LAYER_ROLES, Group, groups_of
from earbit.quantize.propagation.hooks import hooked, noisy, replaced, unfused


@dataclass(frozen=True, slots=True)
class ModuleErrors:
    """Output errors of a leaf or of a module that contains leaves."""

    name: str
    role: Role | None
    """None if the leaves have several roles."""
    layer: int | None
    precision: Precision | None
    """Precision of a leaf, None for other modules."""
    is_noisy: bool
    """Whether noise can replace quantization: a block in a layer with a quantized leaf."""
    alone: ErrorSums
    accumulated: ErrorSums


States = list[ErrorSums]
"""Errors of the encoder input and of the output of every layer."""


@dataclass(slots=True)
class Errors:
    """Errors of one model, the result of `measure`."""

    groups: dict[Group, States]
    """Errors with one group quantized and the rest in full precision."""
    noise: dict[Group, States]
    """Errors with independent noise in place of quantization, zero for groups outside of layers."""
    student: States = field(default_factory=list)
    """Errors with all leaves quantized."""
    modules: list[ModuleErrors] = field(default_factory=list)


@torch.no_grad()
def measure(
    teacher: AudioModel,
    student: AudioModel,
    clips: Sequence[np.ndarray],
    *,
    seed: int = 0,
    title: str = "errors",
) -> Errors:
    """Compares a quantized model with the full-precision one, clip by clip, without padding.

    clips: shape (n_samples,) each.  seed: seed of the noise.  title: title of the progress bar.
    Both models run in evaluation mode, and their previous mode is restored.  Raises ConfigError
    without clips, and DataError for a non-finite output.
    """
    if not clips:
        raise ConfigError("errors without audio; give at least one clip")
    groups, modules = groups_of(student), _modules_of(student)
    errors = Errors(groups={group: [] for group in groups}, noise={group: [] for group in groups})
    waves = [torch.from_numpy(clip)[None] for clip in clips]
    n_passes = len(clips) * (3 + 2 * len(groups))
    with (
        evaluating(teacher, student),
        unfused(teacher),
        unfused(student),
        progress(title, n_passes) as advance,
    ):
        for wave_BN in waves:
            expected, found = _compare_modules(teacher, student, modules, wave_BN)
            _compare_states(errors.student, expected, found)
            advance(2)
        # Modules that do not run, such as the unit head, have no output to compare.
        errors.modules = [module for module in modules.values() if module.alone.n_elements]
        for i, wave_BN in enumerate(waves):
            expected = teacher(wave_BN)
            advance()
            for group in groups:
                inside = [one for one in modules.values() if group.contains(one.role, one.layer)]
                quantized = [one.name for one in inside if not (one.precision or FLOAT).is_float]
                with replaced(teacher, student, quantized):
                    _compare_states(errors.groups[group], expected, teacher(wave_BN))
                power = {one.name: one.alone.varying_noise for one in inside if one.is_noisy}
                with noisy(teacher, power, f"{seed} {i}"):
                    _compare_states(errors.noise[group], expected, teacher(wave_BN))
                advance(2)
    return errors


def _modules_of(student: AudioModel) -> dict[str, ModuleErrors]:
    """All modules that are or contain leaves, by name."""
    modules, leaves = {}, leaves_of(student)
    for name, module in student.named_modules():
        inside = [one for one in leaves if f"{one.name}.".startswith(f"{name}.")]
        if name and inside:
            roles = {one.role for one in inside}
            is_block = getattr(module, "role", None) in LAYER_ROLES
            is_noisy = is_block and any(not one.leaf.precision.is_float for one in inside)
            modules[name] = ModuleErrors(
                name=name,
                role=roles.pop() if len(roles) == 1 else None,
                layer=layer_of(name),
                precision=module.precision if isinstance(module, Leaf) else None,
                is_noisy=is_noisy,
                alone=ErrorSums(name, is_centred=is_noisy),
                accumulated=ErrorSums(name),
            )
    return modules


def _compare_modules(
    teacher: AudioModel, student: AudioModel, modules: Mapping[str, ModuleErrors], wave_BN: Tensor
) -> tuple[ModelOutput, ModelOutput]:
    """Runs both models once and compares their modules."""
    expected: dict[str, list[tuple[Tensor, Tensor | None]]] = {name: [] for name in modules}

    def alone(name: str, leaf: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        if isinstance(output, Tensor):
            # Elements of a sparse product with real operands; a dense product counts whole.
            pattern = getattr(leaf, "pattern", None)
            counted = None if pattern is None else pattern.results().expand_as(output)
            expected[name].append((output, counted))
            found = student.get_submodule(name)(*args, **kwargs)
            modules[name].alone.add(output, found, counted)

    def accumulated(name: str, _: Any, __: Any, ___: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            reference, counted = expected[name].pop(0)
            modules[name].accumulated.add(reference, output, counted)

    with hooked(teacher, modules, alone):
        reference: ModelOutput = teacher(wave_BN)
    with hooked(student, modules, accumulated):
        return reference, student(wave_BN)


def _compare_states(states: States, expected: ModelOutput, found: ModelOutput) -> None:
    if not states:
        states += [ErrorSums("hidden states", is_centred=True) for _ in expected.states]
    for one, reference, state in zip(states, expected.states, found.states, strict=True):
        one.add(reference, state)
