"""Cost of every operation, as pure functions on shapes.

Products are counted at the leaves.  Other operations follow the conventions of DeepSpeed's FLOPs
profiler: 5 per element of an affine norm (4 without), 1 per element of an activation function or
a softmax, 1 per element of a sum.  In addition, the bias of every leaf is counted, and operations
are counted in every notation; `benchmarks/deepspeed_flops.py` lists the differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log2, prod

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
    """Pairs (row, column) per matrix stack in a sparse pattern; None for all."""
    is_left_sparse: bool = False
    """Whether the pattern is that of the left operand; else it is that of the result."""


def needed_output(call: LeafCall) -> Shape:
    """The output without frames of a convolution beyond one per `stride` inputs.

    An even kernel padded by half on both sides gives one extra frame, which a positional
    convolution drops and a runtime does not compute.
    """
    if not call.padding:
        return call.output
    n_frames = -(-call.inputs[0][-1] // call.stride)
    return (*call.output[:-1], min(call.output[-1], n_frames))


def linear_macs(call: LeafCall) -> int:
    """MACs with weight (d_out, d_in): every output element is a product over d_in."""
    return prod(call.output) * call.weight[1]


def conv1d_macs(call: LeafCall) -> int:
    """MACs with weight (C_out, C_in / groups, kernel), including products with padding."""
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
    """FLOPs of a leaf: one per output element for the bias, one per input for the activation."""
    bias = prod(needed_output(call)) if call.has_bias else 0
    return bias + (prod(call.inputs[0]) if call.has_activation else 0)


Formula = Callable[[tuple[Shape, ...], Shape], int]
"""FLOPs from the shapes of the input tensors and of the first output tensor."""


def per_output(inputs: tuple[Shape, ...], output: Shape) -> int:
    """One FLOP per output element."""
    return prod(output)


def per_output_twice(inputs: tuple[Shape, ...], output: Shape) -> int:
    """Two FLOPs per output element, for a gate or the affine map of a batch norm."""
    return 2 * prod(output)


def per_input(inputs: tuple[Shape, ...], output: Shape) -> int:
    """One FLOP per input element, for a reduction."""
    return prod(inputs[0])


def per_normed(inputs: tuple[Shape, ...], output: Shape) -> int:
    """Five FLOPs per element with weight and bias, four without."""
    return (5 if len(inputs) > 1 else 4) * prod(output)


def per_dense_product(inputs: tuple[Shape, ...], output: Shape) -> int:
    """Two FLOPs per product with a constant matrix, as of a filterbank."""
    return 2 * prod(output) * inputs[0][-1]


def per_real_fft(inputs: tuple[Shape, ...], output: Shape) -> int:
    """2.5 n log2 n FLOPs per transform of n real numbers, as usual for radix 2."""
    n = inputs[0][-1]
    return round(2.5 * prod(inputs[0]) * log2(n))


def _words(text: str) -> list[str]:
    return text.split()


OTHER_FLOPS: dict[str, Formula] = {
    **dict.fromkeys(_words("native_layer_norm native_group_norm"), per_normed),
    **dict.fromkeys(_words("gelu relu silu sigmoid tanh _softmax"), per_output),
    **dict.fromkeys(_words("glu native_batch_norm"), per_output_twice),
    **dict.fromkeys(_words("add sub mul div neg abs pow sqrt rsqrt exp log sin cos"), per_output),
    **dict.fromkeys(_words("clamp_min clamp_max"), per_output),
    **dict.fromkeys(_words("sum mean"), per_input),
    "_fft_r2c": per_real_fft,
}
"""Tensor operations by name.  Integer outputs are index arithmetic without FLOPs."""

FIXED_PRODUCTS: dict[str, Formula] = {"mm": per_dense_product}
"""Products with constants, in modules with `has_fixed_products`; all others belong to leaves."""

FREE = frozenset(
    _words(
        # Views of the same numbers.
        "view _unsafe_view reshape t transpose permute expand squeeze unsqueeze slice select split "
        "split_with_sizes unbind unfold view_as_real alias detach as_strided "
        # Numbers that are moved or created.
        "clone copy _to_copy cat stack flip embedding constant_pad_nd arange zeros ones full empty "
        "empty_like zeros_like ones_like full_like scalar_tensor lift_fresh "
        # Masks: comparisons, logic on bits, choices between two numbers.
        "eq ne lt le gt ge bitwise_and bitwise_or bitwise_not logical_and logical_or logical_not "
        "where masked_fill"
    )
)
"""Tensor operations without floating-point arithmetic."""
