"""A program of plain ops, which `fuse` turns into the ops of the runtime.

A lowering adds one op for each computation of its module: a product with a scale and a bias, an
affine map, an activation, a binarizer.  It does not look at what reads or made a value.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from torch import Tensor

from earbit.export.thresholds import Bits

AFFINE = "affine"
BINARIZE = "binarize"
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Affine:
    """An affine map `gain * y + offset` of every channel, both float32 (channels,)."""

    gain: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True, slots=True)
class Binarizer:
    """Conversion of a float (T, channels) to the bits of a binary operand."""

    leaf_name: str
    bits: Bits
    n_channels: int
    n_groups: int = 1
    """Number of groups that start at word boundaries: heads, or groups of a convolution."""


@dataclass(frozen=True, slots=True)
class BinaryProduct:
    """The float `scale * dot + bias` of an integer dot of bits, in the arithmetic of training."""

    n_bits: int
    """Length of the product, whose dots lie in [-n_bits, n_bits]."""
    scale: np.ndarray | np.float32
    bias: np.ndarray | None = None
    weight: Tensor | None = None
    """Weights whose signs are packed, (C_out, C_in[, taps]); None for a product of activations."""
    affine: Affine | None = None
    """Map behind the product."""
    folds_first: bool = True
    """Whether scale and bias are multiplied with the map before thresholds follow from them."""


@dataclass(frozen=True, slots=True)
class PlainOp:
    """An op of the runtime, or AFFINE or BINARIZE."""

    op: str
    inputs: tuple[int, ...]
    ints: dict[str, int] = field(default_factory=dict)
    floats: dict[str, float] = field(default_factory=dict)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    product: BinaryProduct | None = None
    affine: Affine | None = None
    binarizer: Binarizer | None = None
    module: str = ""
    """Name of the module that the op computes; empty outside of leaves and blocks with a role."""


@dataclass(slots=True)
class PlainProgram:
    """Plain ops in order of execution; op n makes value n + 1."""

    ops: list[PlainOp] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    """Values of the hidden states, with the encoder's input first."""
    codes: dict[int, str] = field(default_factory=dict)
    """Leaf names by values of their codes, which `verify` compares."""
    module: str = ""
    """Name of the module that is being lowered."""

    @contextmanager
    def lowering(self, module: str) -> Iterator[None]:
        """Context in which ops are added for a module."""
        before, self.module = self.module, module
        try:
            yield
        finally:
            self.module = before

    def add(
        self,
        op: str,
        inputs: Sequence[int],
        *,
        ints: Mapping[str, int] | None = None,
        floats: Mapping[str, float] | None = None,
        tensors: Mapping[str, np.ndarray] | None = None,
        product: BinaryProduct | None = None,
    ) -> int:
        """Appends an op and returns the value that it makes."""
        plain = PlainOp(
            op,
            tuple(inputs),
            dict(ints or {}),
            dict(floats or {}),
            dict(tensors or {}),
            product=product,
            module=self.module,
        )
        self.ops.append(plain)
        return len(self.ops)

    def add_affine(self, value: int, affine: Affine) -> int:
        """Applies an affine map to every column of a float value."""
        self.ops.append(PlainOp(AFFINE, (value,), affine=affine, module=self.module))
        return len(self.ops)

    def binarize(self, value: int, binarizer: Binarizer) -> int:
        """Converts a float value to bits."""
        self.ops.append(PlainOp(BINARIZE, (value,), binarizer=binarizer, module=self.module))
        return len(self.ops)


def of_module(
    lower: Callable[Concatenate[PlainProgram, str, P], R],
) -> Callable[Concatenate[PlainProgram, str, P], R]:
    """Records the name of the module, the second argument, in the ops that a function adds."""

    @functools.wraps(lower)
    def lower_named(program: PlainProgram, name: str, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with program.lowering(name):
            return lower(program, name, *args, **kwargs)

    return lower_named
