"""Ways to look into a model and to change parts of it for one forward pass."""

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earbit.model import AudioModel
from earbit.nn.leaves import leaves_of
from earbit.quantize.calibrate import calibrate
from earbit.quantize.convert import convert, quantized_leaves_of
from earbit.quantize.plan import Plan

See = Callable[[str, Tensor, tuple[Any, ...], dict[str, Any]], None]
"""Receives name, output, positional and keyword arguments of a module's call."""


def calibrated_twin(teacher: AudioModel, plan: Plan, clips: Sequence[np.ndarray]) -> AudioModel:
    """A copy under a plan with scales from full-precision activations alone.

    `quantized_copy` calibrates leaf after leaf on quantized inputs.  Here a scale must not depend
    on what else is quantized.  The copy is in the teacher's mode.
    """
    twin = copy.deepcopy(teacher)
    convert(twin, plan.precisions(leaves_of(twin)))
    if quantized_leaves_of(twin):
        calibrate(_Beside(teacher, twin), [torch.from_numpy(clip)[None] for clip in clips])
    return twin


class _Beside(torch.nn.Module):
    """Runs the teacher and passes the inputs of its leaves to the quantized leaves of the twin."""

    def __init__(self, teacher: AudioModel, twin: AudioModel) -> None:
        super().__init__()
        self.teacher, self.twin = teacher, twin

    def forward(self, wave_BN: Tensor) -> None:
        twins = quantized_leaves_of(self.twin)

        def show(name: str, _: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            twins[name](*args, **kwargs)

        with hooked(self.teacher, twins, show):
            self.teacher(wave_BN)


@contextmanager
def hooked(model: torch.nn.Module, names: Iterable[str], see: See) -> Iterator[None]:
    """Calls `see` for every call of the named modules that returns a tensor."""

    def hook_of(name: str) -> Callable[..., None]:
        def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if isinstance(output, Tensor):
                see(name, output, args, kwargs)

        return hook

    with _forward_hooks(model, {name: hook_of(name) for name in names}):
        yield


@contextmanager
def noisy(model: torch.nn.Module, power: Mapping[str, float], seed: str) -> Iterator[None]:
    """Adds white noise to the outputs of modules; power: its mean square, by module name.

    The noise of a module depends on the seed and its name alone, not on other noisy modules.
    """

    def hook_of(name: str) -> Callable[..., Tensor]:
        def hook(_: Any, __: Any, ___: Any, output: Tensor) -> Tensor:
            random = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
            noise = torch.randn(output.shape, generator=random, dtype=output.dtype)
            return output + math.sqrt(power[name]) * noise

        return hook

    with _forward_hooks(model, {name: hook_of(name) for name in power}):
        yield


@contextmanager
def _forward_hooks(
    model: torch.nn.Module, hooks: Mapping[str, Callable[..., Tensor | None]]
) -> Iterator[None]:
    handles = [
        model.get_submodule(name).register_forward_hook(hook, with_kwargs=True)
        for name, hook in hooks.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


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
