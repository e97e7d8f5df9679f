"""Where quantization noise arises in a model, and how it propagates to what comes after.

Every module's output is compared with that of the full-precision model (the teacher): quantized
`alone`, on the teacher's inputs; and `accumulated`, in the model in which everything is quantized
(the student).  Then some of the student's leaves at a time, a kind of module or a part of a layer,
are put into the teacher, and the hidden states after every layer compared.  As a control the same
is done with independent noise in the place of quantization.  docs/errors.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earbit.errors import ConfigError
from earbit.model import AudioModel, ModelOutput
from earbit.nn.evaluation import evaluating
from earbit.nn.leaves import leaves_of
from earbit.progress import Advance
from earbit.quantize.convert import quantized_leaves_of
from earbit.quantize.propagation.models import grafted, hooked, noisy
from earbit.quantize.propagation.parts import (
    ALL,
    LAYERS,
    NOT_QUANTIZED,
    PAIR,
    Part,
    blocks_of,
    is_layer,
    kind_of,
    layer_of,
    parts_of,
)
from earbit.quantize.propagation.sums import ErrorSums

SEVERAL = "several"


@dataclass(frozen=True, slots=True)
class ModuleErrors:
    """A leaf, a block of several leaves or a layer, and how far its output is off."""

    name: str
    level: str
    """`leaf`, `block` or `layer`."""
    kind: str
    """A kind of `parts_of`, or `several` in one block."""
    layer: int | None
    precision: str | None
    """Of a leaf."""
    alone: ErrorSums
    accumulated: ErrorSums


@dataclass(frozen=True, slots=True)
class Errors:
    """What `measure` finds about one model."""

    modules: list[ModuleErrors]
    kinds_in_layers: tuple[str, ...]
    """Kinds of which something in the layers is quantized."""
    states: dict[str, list[ErrorSums]]
    """By what is quantized: the encoder's input and the output of every layer."""
    single: dict[tuple[str, int], ErrorSums]
    """By kind and layer, quantized there and nowhere else: the last state."""
    independent: dict[str, list[ErrorSums]]
    """As `states`, of kinds in layers, their pairs and all in layers, with noise in their place."""
    independent_single: dict[tuple[str, int], ErrorSums]
    """As `single`, with noise in its place."""


@torch.no_grad()
def measure(
    teacher: AudioModel,
    student: AudioModel,
    clips: Sequence[np.ndarray],
    advance: Advance | None = None,
    *,
    is_trained: bool = False,
    seed: int = 0,
) -> Errors:
    """Compares a quantized model with the full-precision one, clip by clip, without padding.

    clips: (samples,) each;  advance: called for forward passes, of which there are `n_passes` for
    a clip;  is_trained: whether the student differs in more than its quantized leaves;  seed: of
    the independent noise.
    Both models have one architecture; they run in evaluation mode and get their own back.  Raises
    ConfigError without clips, DataError, naming the module, for outputs that are not finite.
    """
    if not clips:
        raise ConfigError("errors without audio; give at least one clip")
    with evaluating(teacher, student):
        return _measure(teacher, student, clips, advance, is_trained, seed)


def _measure(
    teacher: AudioModel,
    student: AudioModel,
    clips: Sequence[np.ndarray],
    advance: Advance | None,
    is_trained: bool,
    seed: int,
) -> Errors:
    parts, blocks, modules = parts_of(student), blocks_of(student), _modules_of(student)
    floats = {name: leaves_of(teacher)[name] for name in quantized_leaves_of(student)}
    states: dict[Part, list[ErrorSums]] = {}
    controls: dict[Part, list[ErrorSums]] = {}

    def work_on(n: int = 1) -> None:
        if advance is not None:
            advance(n)

    waves = [torch.from_numpy(clip)[None] for clip in clips]
    for wave_BN in waves:
        expected, found = _compare_modules(teacher, student, modules, wave_BN)
        _compare_states(states, ALL, expected, found)
        work_on(2)
    noise = {name: modules[name].alone.varying_noise for name in blocks}
    noisy_parts = _noisy_parts(parts, blocks)
    for i, wave_BN in enumerate(waves):
        expected = teacher(wave_BN)
        if is_trained:
            with grafted(student, floats):
                _compare_states(states, NOT_QUANTIZED, expected, student(wave_BN))
        work_on(1 + is_trained)
        for part, leaves in parts.items():
            with grafted(teacher, leaves):
                _compare_states(states, part, expected, teacher(wave_BN))
            work_on()
        for part, names in noisy_parts.items():
            with noisy(teacher, {name: noise[name] for name in names}, f"{seed} {i}"):
                _compare_states(controls, part, expected, teacher(wave_BN))
            work_on()
    single = _last_of_single(states)
    return Errors(
        # What the model has but does not run, the unit head, has nothing to compare.
        modules=[module for module in modules.values() if module.alone.n_elements],
        kinds_in_layers=tuple(dict.fromkeys(kind for kind, _ in single)),
        states={part: sums for part, sums in states.items() if isinstance(part, str)},
        single=single,
        independent={part: sums for part, sums in controls.items() if isinstance(part, str)},
        independent_single=_last_of_single(controls),
    )


def _last_of_single(states: Mapping[Part, list[ErrorSums]]) -> dict[tuple[str, int], ErrorSums]:
    return {part: sums[-1] for part, sums in states.items() if isinstance(part, tuple)}


def n_passes(student: AudioModel, *, is_trained: bool = False) -> int:
    """Forward passes of `measure` for one clip."""
    parts = parts_of(student)
    return 3 + is_trained + len(parts) + len(_noisy_parts(parts, blocks_of(student)))


def _noisy_parts(parts: Iterable[Part], blocks: Mapping[str, str]) -> dict[Part, list[str]]:
    """The blocks that get independent noise in the place of each part: what lies in the layers."""
    in_layers = {part: _blocks_in(part, blocks) for part in parts}
    return {part: names for part, names in in_layers.items() if names}


def _blocks_in(part: Part, blocks: Mapping[str, str]) -> list[str]:
    if part == LAYERS:
        return list(blocks)
    if isinstance(part, tuple):
        return [name for name, kind in blocks.items() if (kind, layer_of(name)) == part]
    kinds = set(part.split(PAIR))
    is_known = kinds <= set(blocks.values())
    return [name for name, kind in blocks.items() if is_known and kind in kinds]


def _modules_of(student: AudioModel) -> dict[str, ModuleErrors]:
    """Everything that is or holds a leaf, by name."""
    leaves, blocks = leaves_of(student), blocks_of(student)
    kinds = {name: kind_of(student, name) for name in leaves}
    modules = {}
    for name, _ in student.named_modules():
        inside = {kinds[leaf] for leaf in leaves if f"{leaf}.".startswith(f"{name}.")}
        if name and inside:
            modules[name] = ModuleErrors(
                name=name,
                level="leaf" if name in leaves else "layer" if is_layer(name) else "block",
                kind=inside.pop() if len(inside) == 1 else SEVERAL,
                layer=layer_of(name),
                precision=str(leaves[name].precision) if name in leaves else None,
                alone=ErrorSums(is_centred=name in blocks),
                accumulated=ErrorSums(),
            )
    return modules


def _compare_modules(
    teacher: AudioModel, student: AudioModel, modules: Mapping[str, ModuleErrors], wave_BN: Tensor
) -> tuple[ModelOutput, ModelOutput]:
    """One pass of either model; modules of both are compared."""
    expected: dict[str, list[tuple[Tensor, Tensor | None]]] = {name: [] for name in modules}

    def alone(name: str, output: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        counted = _real_products(output, kwargs)
        expected[name].append((output, counted))
        found = student.get_submodule(name)(*args, **kwargs)
        modules[name].alone.add(output, found, counted)
        modules[name].alone.check(name)

    def accumulated(name: str, output: Tensor, *_: Any) -> None:
        reference, counted = expected[name].pop(0)
        modules[name].accumulated.add(reference, output, counted)
        modules[name].accumulated.check(name)

    with hooked(teacher, modules, alone):
        reference: ModelOutput = teacher(wave_BN)
    with hooked(student, modules, accumulated):
        return reference, student(wave_BN)


def _compare_states(
    states: dict[Part, list[ErrorSums]], part: Part, expected: ModelOutput, found: ModelOutput
) -> None:
    sums = states.setdefault(part, [ErrorSums(is_centred=True) for _ in expected.states])
    for one, reference, state in zip(sums, expected.states, found.states, strict=True):
        one.add(reference, state)
        one.check(f"states with {part} quantized")


def _real_products(output: Tensor, kwargs: Mapping[str, Any]) -> Tensor | None:
    """True where an element of a sparse product has real operands, once; None where all have."""
    real = kwargs.get("real")
    if real is None:
        return None
    left, right = real
    counted: Tensor = left.any(-1, keepdim=True) & right.any(-2, keepdim=True)
    return counted.expand_as(output)
