"""Changes of a model for one forward pass: hooks, noise and leaves of another model."""

from __future__ import annotations

import copy
import functools
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earbit.model import AudioModel
from earbit.nn.evaluation import evaluating
from earbit.nn.leaves import leaf_modules, leaves_of
from earbit.quantize.calibrate import calibrate
from earbit.quantize.convert import convert, quantized_leaves_of
from earbit.quantize.plan import Plan

Hook = Callable[[str, torch.nn.Module, tuple[Any, ...], dict[str, Any], Any], Tensor | None]
"""Receives name, module, arguments and output of a call; may return another output."""


def calibrated_twin(teacher: AudioModel, plan: Plan, clips: Sequence[np.ndarray]) -> AudioModel:
    """A copy under a plan with scales from full-precision activations alone.

    `quantized_copy` calibrates leaf after leaf on quantized inputs.  Here a scale must not depend
    on what else is quantized.  The copy is in the teacher's mode.
    """
    twin, floats = copy.deepcopy(teacher), leaf_modules(teacher)
    convert(twin, plan.precisions(leaves_of(twin)))
    quantized = quantized_leaves_of(twin)

    def in_full_precision(name: str, _: Any, args: Any, kwargs: Any, __: Any) -> Tensor:
        output: Tensor = floats[name](*args, **kwargs)
        return output

    if quantized:
        with evaluating(teacher), hooked(twin, quantized, in_full_precision):
            calibrate(twin, [torch.from_numpy(clip)[None] for clip in clips])
    return twin


@contextmanager
def hooked(model: torch.nn.Module, names: Iterable[str], hook: Hook) -> Iterator[None]:
    """Calls `hook` after every call of the named modules."""
    handles = [
        model.get_submodule(name).register_forward_hook(
            functools.partial(hook, name), with_kwargs=True
        )
        for name in names
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def noisy(model: torch.nn.Module, power: Mapping[str, float], seed: str) -> Iterator[None]:
    """Adds white noise to the outputs of modules; power: its mean square, by module name.

    The noise of a module depends on the seed and its name alone, not on other noisy modules.
    """

    def add_noise(name: str, _: Any, __: Any, ___: Any, output: Tensor) -> Tensor:
        random = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
        noise = torch.randn(output.shape, generator=random, dtype=output.dtype)
        return output + math.sqrt(power[name]) * noise

    with hooked(model, power, add_noise):
        yield


@contextmanager
def grafted(host: torch.nn.Module, leaves: Mapping[str, torch.nn.Module]) -> Iterator[None]:
    """Replaces some leaves of `host` by others within the context."""
    own = {name: host.get_submodule(name) for name in leaves}
    try:
        _place(host, leaves)
        yield
    finally:
        _place(host, own)


def _place(host: torch.nn.Module, leaves: Mapping[str, torch.nn.Module]) -> None:
    for name, leaf in leaves.items():
        parent_name, _, child = name.rpartition(".")
        setattr(host.get_submodule(parent_name), child, leaf)
