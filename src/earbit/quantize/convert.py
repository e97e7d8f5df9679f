"""Replaces leaves by quantized leaves and reports all leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import torch

from earbit.config import suggest
from earbit.errors import ConfigError, require_choice, shown
from earbit.nn.leaves import Conv1d, Leaf, Linear, MatMul, NamedLeaf, leaf_modules, leaves_of
from earbit.nn.precision import Granularity, Precision
from earbit.nn.roles import Role
from earbit.quantize.leaves import (
    QuantizedConv1d,
    QuantizedLeaf,
    QuantizedLinear,
    QuantizedMatMul,
)


def quantized_leaves_of(model: torch.nn.Module) -> dict[str, QuantizedLeaf]:
    """The quantized leaves of a model by name."""
    return {
        name: leaf for name, leaf in leaf_modules(model).items() if isinstance(leaf, QuantizedLeaf)
    }


def precisions_of(model: torch.nn.Module) -> dict[str, Precision]:
    """The precision of every leaf of a model."""
    return {name: leaf.precision for name, leaf in leaf_modules(model).items()}


@dataclass(frozen=True, slots=True)
class LeafReport:
    """Description of a leaf after conversion."""

    name: str
    role: Role
    kind: str
    precision: Precision
    scales_of_weight: str
    """`channel` or `tensor`, or `-` where no weight is quantized."""
    input: str
    """`signed` or `unsigned` with the activation function before it, or `-` in float."""

    def __str__(self) -> str:
        return (
            f"{self.name:<56} {self.role:<13}{self.kind:<7} {self.precision!s:<7} "
            f"{self.scales_of_weight:<8}{self.input}"
        ).rstrip()


def report_of(model: torch.nn.Module) -> list[LeafReport]:
    """Every leaf of a model with its precision, in the model's order."""
    return [_report(leaf) for leaf in leaves_of(model)]


def convert(
    model: torch.nn.Module,
    precisions: Mapping[str, Precision],
    granularity: Granularity = "channel",
) -> list[LeafReport]:
    """Converts leaves of `model` in place to the given precisions and reports all leaves.

    Raises ConfigError, without changes, for a leaf that does not exist or is already quantized, and
    for an invalid precision or granularity.
    """
    require_choice(get_args(Granularity), granularity=granularity)
    leaves = leaf_modules(model)
    for name, precision in precisions.items():
        if name not in leaves:
            raise ConfigError(f"no leaf {name!r} in this model{suggest(name, list(leaves))}")
        if not isinstance(precision, Precision):
            raise ConfigError(
                f"leaf {name!r}: {shown(precision)} is not a Precision; give one, as "
                "Precision.parse('w1a8')"
            )
        if not leaves[name].precision.is_float:
            raise ConfigError(
                f"leaf {name!r} is {leaves[name].precision} already; convert a full-precision model"
            )
    # A leaf without a weight gets its device and dtype.
    reference = next(model.parameters(), None)
    for name, precision in precisions.items():
        if not precision.is_float:
            parent_name, _, child = name.rpartition(".")
            quantized = _quantized(leaves[name], precision, granularity)
            if reference is not None and isinstance(quantized, QuantizedMatMul):
                quantized.to(reference)
            setattr(model.get_submodule(parent_name), child, quantized)
    return report_of(model)


def _quantized(leaf: Leaf, precision: Precision, granularity: Granularity) -> QuantizedLeaf:
    quantized: QuantizedLeaf
    match leaf:
        case Linear():
            quantized = QuantizedLinear(leaf, precision, granularity)
        case Conv1d():
            quantized = QuantizedConv1d(leaf, precision, granularity)
        case MatMul():
            quantized = QuantizedMatMul(leaf, precision)
    return quantized.train(leaf.training)


def _report(named: NamedLeaf) -> LeafReport:
    leaf = named.leaf
    kind = next(k.__name__.lower() for k in (Linear, Conv1d, MatMul) if isinstance(leaf, k))
    scales, read = "-", "-"
    if isinstance(leaf, (QuantizedLinear, QuantizedConv1d)):
        if leaf.weight_quantizer is not None:
            scales = leaf.granularity
        if leaf.input_quantizer is not None:
            read = leaf.input_quantizer.number_set
            if leaf.input_activation != "none":
                read += f" after {leaf.input_activation}"
    if isinstance(leaf, QuantizedMatMul) and leaf.left_quantizer is not None:
        read = leaf.left_quantizer.number_set
    return LeafReport(named.name, named.role, kind, leaf.precision, scales, read)
