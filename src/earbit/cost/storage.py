"""Storage of a model in a file in bits, without header and alignment.

A quantized leaf stores, in `rest_bits` each, a scale per output channel of a quantized weight, a
shift per input channel and one scale of a quantized input, and its bias.  Everything else takes
`rest_bits` per parameter.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Literal

import torch

from earbit.cost.trace import weight_shape
from earbit.nn.leaves import Leaf, MatMul
from earbit.nn.precision import FLOAT, Precision

RestBits = Literal[32, 16]
FLOAT_BITS = FLOAT.weight_bits


def owners(model: torch.nn.Module, name: str = "") -> Iterator[tuple[str, torch.nn.Module]]:
    """All modules with their paths, except modules inside a leaf."""
    yield name, model
    if isinstance(model, Leaf):
        return
    for child_name, child in model.named_children():
        yield from owners(child, f"{name}.{child_name}" if name else child_name)


def n_parameters(owner: torch.nn.Module) -> int:
    """Trainable parameters of a leaf with its submodules, or of another module alone."""
    parameters = owner.parameters(recurse=isinstance(owner, Leaf))
    return sum(p.numel() for p in parameters if p.requires_grad)


def storage_bits(owner: torch.nn.Module, precision: Precision, rest_bits: int) -> int:
    """Storage bits of one of `owners` at the precision of its leaf."""
    if not isinstance(owner, Leaf) or precision.is_float:
        return n_parameters(owner) * rest_bits
    is_weight_quantized = precision.weight_bits < FLOAT_BITS
    is_input_quantized = precision.activation_bits < FLOAT_BITS
    if isinstance(owner, MatMul):
        return (is_weight_quantized + is_input_quantized) * rest_bits
    shape = weight_shape(owner)
    n_in = owner.in_features if isinstance(owner, torch.nn.Linear) else owner.in_channels
    n_rest = shape[0] if owner.bias is not None else 0
    if is_weight_quantized:
        n_rest += shape[0]
    if is_input_quantized:
        n_rest += n_in + 1
    bits_per_weight = precision.weight_bits if is_weight_quantized else rest_bits
    return prod(shape) * bits_per_weight + n_rest * rest_bits
