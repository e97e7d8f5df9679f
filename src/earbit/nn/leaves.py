"""The leaves: every product of a model is one of these three modules.

Quantization swaps leaves (`earbit.quantize`), the cost profile counts them (`earbit.cost`), the
export lowers them (`earbit.export`).  A leaf states its own precision and owns the activation
function in front of its input: when that input is binarized, activation and binarizer are one step.

Every leaf has a role, the purpose of the block it belongs to.  A block declares it once, as the
class attribute `role`; plans, profiles and reports select leaves by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.nn.lengths import zero_padding
from earbit.nn.precision import FLOAT, Granularity, Precision
from earbit.nn.roles import DEFAULT_ROLE, Role
from earbit.nn.sparse_pattern import SparsePattern

ActivationName = Literal["none", "gelu", "relu", "silu"]
NumberSet = Literal["signed", "unsigned"]
"""Set of values of a quantized operand: around zero ({-a, +a} in one bit) or from zero ({0, a})."""


def activate(x: Tensor, name: ActivationName) -> Tensor:
    """Applies the activation function called `name`, elementwise; GELU is the exact erf form."""
    match name:
        case "none":
            return x
        case "gelu":
            return F.gelu(x)
        case "relu":
            return F.relu(x)
        case "silu":
            return F.silu(x)


class Linear(torch.nn.Linear):
    """`weight @ activation(x) + bias` over the last dimension: (..., d_in) -> (..., d_out).

    input_dropout: of the activated input, in training; a quantized input is not dropped.
    """

    precision: Precision = FLOAT
    granularity: Granularity = "channel"

    def __init__(
        self,
        d_in: int,
        d_out: int,
        *,
        bias: bool = True,
        input_activation: ActivationName = "none",
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__(d_in, d_out, bias=bias)
        self.input_activation: ActivationName = input_activation
        self.input_dropout = input_dropout

    def forward(self, x: Tensor) -> Tensor:
        x = activate(x, self.input_activation)
        if self.input_dropout > 0:
            x = F.dropout(x, self.input_dropout, self.training)
        return F.linear(x, self.weight, self.bias)


class Conv1d(torch.nn.Conv1d):
    """Convolution over time of `activation(x)`: (B, C_in, T) -> (B, C_out, T_out).

    Pads with zeros, and treats padded frames of the batch as zeros too (`lengths` in frames).
    """

    precision: Precision = FLOAT
    granularity: Granularity = "channel"

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        bias: bool = True,
        input_activation: ActivationName = "none",
    ) -> None:
        super().__init__(
            n_in, n_out, kernel, stride=stride, padding=padding, groups=groups, bias=bias
        )
        self.input_activation: ActivationName = input_activation

    def forward(self, x_BCT: Tensor, lengths: Tensor | None = None) -> Tensor:
        x_BCT = activate(x_BCT, self.input_activation)
        if self.padding[0]:
            x_BCT = zero_padding(x_BCT, lengths)
        # torch's name for the convolution itself; weight may be parametrized (weight norm).
        y_BCT: Tensor = self._conv_forward(x_BCT, self.weight, self.bias)
        return y_BCT


class MatMul(torch.nn.Module):
    """Product of two activations: (..., m, k) x (..., k, n) -> (..., m, n).

    left_set: what the left operand becomes when it is quantized; the right one is always signed.
    """

    precision: Precision = FLOAT
    pattern: SparsePattern | None = None
    """Pattern of the operands of the current call; None if all elements are real."""

    def __init__(self, left_set: NumberSet = "signed") -> None:
        super().__init__()
        self.left_set: NumberSet = left_set

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left @ right

    @contextmanager
    def on(self, pattern: SparsePattern) -> Iterator[None]:
        """Context that sets `pattern`, which hooks read; it does not change results."""
        self.pattern = pattern
        try:
            yield
        finally:
            self.pattern = None


Leaf = Linear | Conv1d | MatMul
_LAYER = re.compile(r"((?:encoder\.layers|front_end\.convs|layers|convs)\.)(\d+)(?=\.|$)")


class NamedLeaf(NamedTuple):
    """A leaf with its place in a model."""

    name: str
    leaf: Leaf
    role: Role
    layer: int | None
    """Number of the encoder layer, or of the front-end convolution, from 0."""

    @property
    def has_weight(self) -> bool:
        """Whether one operand is a weight; both operands of a `MatMul` are activations."""
        return not isinstance(self.leaf, MatMul)


def roles_of(model: torch.nn.Module) -> dict[str, Role | None]:
    """The role of every module by name: its own, or that of the nearest parent module with a role.

    A leaf outside of all blocks with a role is a `projection`; other modules there have no role.
    """
    roles: dict[str, Role | None] = {}
    for name, module in model.named_modules():
        around = roles.get(name.rpartition(".")[0])
        default = DEFAULT_ROLE if isinstance(module, Leaf) else None
        roles[name] = getattr(module, "role", None) or around or default
    return roles


def leaves_of(model: torch.nn.Module) -> list[NamedLeaf]:
    """All leaves of a model, in the model's order."""
    roles = roles_of(model)
    return [
        NamedLeaf(name, module, roles[name] or DEFAULT_ROLE, layer_of(name))
        for name, module in model.named_modules()
        if isinstance(module, Leaf)
    ]


def leaf_modules(model: torch.nn.Module) -> dict[str, Leaf]:
    """The leaves of a model by name, in the model's order."""
    return {name: leaf for name, leaf, _, _ in leaves_of(model)}


def layer_of(name: str) -> int | None:
    """Number of the encoder layer or front-end convolution that a module belongs to, by its name.

    It is the index in `layers` of the encoder (`earbit.encoders.encoder.Encoder`) or in `convs` of
    the front end: 3 for `encoder.layers.3.attention`, None for `encoder.stem.0.layers.3`.
    """
    found = _LAYER.match(name)
    return None if found is None else int(found[2])


def starred(name: str) -> str:
    """Name of a module with a star for its layer: `encoder.layers.*.attention`."""
    return _LAYER.sub(r"\1*", name, count=1) if _LAYER.match(name) else name
