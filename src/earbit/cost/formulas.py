"""Cost of every operation, as pure functions on shapes.

Products are counted at the leaves.  Everything else follows the conventions of DeepSpeed's FLOPs
profiler: 5 per element of an affine norm (4 without), 1 per element of an activation function or
a softmax, 1 per element of a sum.  Unlike there, the bias of every leaf is counted, and operations
are counted however they are written; `benchmarks/deepspeed_flops.py` names the differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch

from earbit.nn.leaves import Conv1d, Linear, MatMul

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LeafCall:
    """The shapes of one call of a leaf."""

    inputs: tuple[Shape, ...]
    weight: Shape = ()
    output: Shape
    has_bias: bool = False
    has_activation: bool = False
    """Whether the leaf applies an activation function to its input."""
    stride: int = 1
    padding: int = 0
    n_pairs: int | None = None
    """Pairs (row, column) per matrix stack that a sparse pattern needs; None for all."""
    is_left_sparse: bool = False
    """Whether the pattern is that of the left operand; else it is that of the result."""


def needed_output(call: LeafCall) -> Shape:
    """The output, without what a convolution computes beyond one frame per `stride` inputs.

    An even kernel padded by half on both sides gives one frame too many; a positional convolution
    drops it, and a runtime never computes it.
    """
    if not call.padding:
        return call.output
    n_frames = -(-call.inputs[0][-1] // call.stride)
    return (*call.output[:-1], min(call.output[-1], n_frames))


def linear_macs(call: LeafCall) -> int:
    """Weight (d_out, d_in): every output element is a product over d_in."""
    return prod(call.output) * call.weight[1]


def conv1d_macs(call: LeafCall) -> int:
    """Weight (C_out, C_in / groups, kernel): every output element reads both; padding counts."""
    return prod(needed_output(call)) * call.weight[1] * call.weight[2]


def matmul_macs(call: LeafCall) -> int:
    """(..., m, k) x (..., k, n): m n k for each matrix; with a pattern, its pairs times the rest.

    A stack of matrices is (batch, heads); blocks of a pattern lie in further dimensions.  Pairs
    of the result cost k MACs each; pairs of the left operand cost n each.
    """
    if call.n_pairs is None:
        return prod(call.output) * call.inputs[0][-1]
    n_stacks = prod(call.output[:2])
    per_pair = call.output[-1] if call.is_left_sparse else call.inputs[0][-1]
    return n_stacks * call.n_pairs * per_pair


LEAF_MACS: dict[type[torch.nn.Module], Callable[[LeafCall], int]] = {
    Linear: linear_macs,
    Conv1d: conv1d_macs,
    MatMul: matmul_macs,
}


def leaf_other_flops(call: LeafCall) -> int:
    """One per output element for the bias, one per input element for the activation function."""
    bias = prod(needed_output(call)) if call.has_bias else 0
    return bias + (prod(call.inputs[0]) if call.has_activation else 0)


Formula = Callable[[tuple[Shape, ...], Shape], int]
"""FLOPs from the shapes of the tensors that go in and of the first that comes out."""


def per_output(inputs: tuple[Shape, ...], output: Shape) -> int:
    """One per element that comes out."""
    return prod(output)


def per_output_twice(inputs: tuple[Shape, ...], output: Shape) -> int:
    """Two per element that comes out: a gate, or the affine map that batch norm is in use."""
    return 2 * prod(output)


def per_input(inputs: tuple[Shape, ...], output: Shape) -> int:
    """One per element that goes in: a reduction."""
    return prod(inputs[0])


def per_normed(inputs: tuple[Shape, ...], output: Shape) -> int:
    """Five per element with weight and bias, four without."""
    return (5 if len(inputs) > 1 else 4) * prod(output)


def _words(text: str) -> list[str]:
    return text.split()


OTHER_FLOPS: dict[str, Formula] = {
    **dict.fromkeys(_words("native_layer_norm native_group_norm"), per_normed),
    **dict.fromkeys(_words("gelu relu silu sigmoid tanh _softmax"), per_output),
    **dict.fromkeys(_words("glu native_batch_norm"), per_output_twice),
    **dict.fromkeys(_words("add sub mul div neg abs pow sqrt rsqrt exp log sin cos"), per_output),
    **dict.fromkeys(_words("sum mean"), per_input),
}
"""Tensor operations by name.  Where integers come out it is index arithmetic: no FLOPs."""

FREE = frozenset(
    _words(
        # Another look at the same numbers.
        "view _unsafe_view reshape t transpose permute expand squeeze unsqueeze slice select split "
        "split_with_sizes unbind unfold alias detach as_strided "
        # Numbers moved, or made from nothing.
        "clone copy _to_copy cat stack constant_pad_nd arange zeros ones full empty empty_like "
        "zeros_like ones_like full_like scalar_tensor lift_fresh "
        # Masks: comparisons, logic on bits, choices between two numbers.
        "eq ne lt le gt ge bitwise_and bitwise_or bitwise_not logical_and logical_or logical_not "
        "where masked_fill"
    )
)
"""Tensor operations without floating-point arithmetic."""
