"""Hooks that temporarily replace the outputs of modules or add noise to them."""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

from earbit.nn.leaves import MatMul, leaf_modules

Hook = Callable[[str, torch.nn.Module, tuple[Any, ...], dict[str, Any], Any], Tensor | None]
"""Receives name, module, arguments and output of a call and may return a new output."""


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


def unfused(model: torch.nn.Module) -> AbstractContextManager[None]:
    """Attention of the model calls its products, also where no other hook observes them.

    The fused kernel rounds differently.  Without this, that difference would count as an error.
    """
    products = [name for name, leaf in leaf_modules(model).items() if isinstance(leaf, MatMul)]
    return hooked(model, products, lambda *_: None)


def replaced(
    model: torch.nn.Module, other: torch.nn.Module, names: Iterable[str]
) -> AbstractContextManager[None]:
    """Replaces outputs of the named modules by the outputs of `other` on the same inputs."""
    return hooked(
        model, names, lambda name, _, args, kwargs, __: other.get_submodule(name)(*args, **kwargs)
    )


def noisy(
    model: torch.nn.Module, power: dict[str, float], seed: str
) -> AbstractContextManager[None]:
    """Adds white noise to the outputs of modules; power: mean square of the noise by module name.

    The noise of a module depends only on the seed and the name of the module.
    """

    def add_noise(name: str, _: Any, __: Any, ___: Any, output: Tensor) -> Tensor:
        random = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
        noise = torch.randn(output.shape, generator=random, dtype=output.dtype)
        return output + math.sqrt(power[name]) * noise

    return hooked(model, power, add_noise)
