"""A program of plain ops, which `fuse` turns into the ops of the runtime.

A lowering adds one op for each computation of its module: a product with a scale and a bias, an
affine map, an activation, a binarizer.  It does not look at what reads or made a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from earbit.export.thresholds import Bits

AFFINE = "affine"
BINARIZE = "binarize"


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


@dataclass(slots=True)
class PlainProgram:
    """Plain ops in order of execution; op n makes value n + 1."""

    ops: list[PlainOp] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    """Values of the hidden states, with the encoder's input first."""
    codes: dict[int, str] = field(default_factory=dict)
    """Leaf names by values of their codes, which `verify` compares."""

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
        )
        self.ops.append(plain)
        return len(self.ops)

    def add_affine(self, value: int, affine: Affine) -> int:
        """Applies an affine map to every column of a float value."""
        self.ops.append(PlainOp(AFFINE, (value,), affine=affine))
        return len(self.ops)

    def binarize(self, value: int, binarizer: Binarizer) -> int:
        """Converts a float value to bits."""
        self.ops.append(PlainOp(BINARIZE, (value,), binarizer=binarizer))
        return len(self.ops)
