"""Swaps leaves for quantized ones, loudly."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from earbit.config import suggest
from earbit.errors import ConfigError, UnsupportedError
from earbit.nn.leaves import Conv1d, Linear, MatMul
from earbit.nn.precision import W1A1, Granularity, Precision
from earbit.quantize.leaves import BinaryConv1d, BinaryLeaf, BinaryLinear, BinaryMatMul
from earbit.quantize.plan import QUANTIZED

Leaf = Linear | Conv1d | MatMul


def leaves_of(model: torch.nn.Module) -> dict[str, Leaf]:
    """Every leaf of a model by its name, in the model's order."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (Linear, Conv1d, MatMul))
    }


def precisions_of(model: torch.nn.Module) -> dict[str, Precision]:
    """The precision that every leaf of a model says it has."""
    return {name: leaf.precision for name, leaf in leaves_of(model).items()}


def convert(
    model: torch.nn.Module,
    precisions: Mapping[str, Precision],
    granularity: Granularity = "channel",
) -> None:
    """Gives the leaves of `model`, in place, the precisions that a plan says.

    Raises ConfigError for a leaf that is not there or is quantized already, and UnsupportedError
    for a precision that has no quantized leaf.  Nothing is changed when it raises.
    """
    leaves = leaves_of(model)
    for name, precision in precisions.items():
        if name not in leaves:
            raise ConfigError(f"no leaf {name!r} in this model{suggest(name, list(leaves))}")
        if not leaves[name].precision.is_float:
            raise ConfigError(
                f"leaf {name!r} is {leaves[name].precision} already; convert a full-precision model"
            )
        if precision not in QUANTIZED:
            raise UnsupportedError(f"leaf {name!r}: no quantized leaf for {precision}, only w1a1")
    for name, precision in precisions.items():
        if precision == W1A1:
            parent_name, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent_name), child, _binary(leaves[name], granularity))


def _binary(leaf: Leaf, granularity: Granularity) -> BinaryLeaf:
    binary: BinaryLeaf
    match leaf:
        case Linear():
            binary = BinaryLinear(leaf, granularity)
        case Conv1d():
            binary = BinaryConv1d(leaf, granularity)
        case MatMul():
            binary = BinaryMatMul(leaf)
    return binary.train(leaf.training)
