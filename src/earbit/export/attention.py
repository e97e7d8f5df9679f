"""Lowers self-attention, full or in a window, in float, in one bit or on codes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from earbit.errors import UnsupportedError
from earbit.export.code_attention import code_attention
from earbit.export.leaves import input_bits, is_binary, lower_linear, step_of, with_factor
from earbit.export.plain import Binarizer, BinaryProduct, PlainProgram, of_module
from earbit.export.position_bias import lower_gate
from earbit.export.thresholds import signed_bits
from earbit.nn.attention import SelfAttention
from earbit.nn.gated_attention import GatedAttention
from earbit.nn.precision import W1A1
from earbit.nn.window_attention import WindowAttention
from earbit.quantize.leaves import QuantizedMatMul

Operands = Literal["floats", "bits", "codes"]
"""Operands of attention products. `bits` if all products have 1 bit on both sides."""


@of_module
def lower_attention(
    program: PlainProgram, name: str, block: SelfAttention, value: int, distances: int | None = None
) -> int:
    """Lowers attention to all frames, or to the frames of a window.

    distances: bias of all distances for attention with a gated position bias.
    """
    kind = operands_of(name, block, "scores", "context")
    window = _window_of(block)
    operands = lower_operands(program, name, block, value, has_bits=kind == "bits")
    if isinstance(block, GatedAttention):
        assert distances is not None
        operands = [*operands, lower_gate(program, block.gate, value), distances]
    match kind:
        case "bits":
            context = context_of_bits(
                program,
                "attention_b1",
                name,
                block,
                operands,
                window,
                {"score_scale": product_scale(block.scores)},
            )
        case "codes":
            context = code_attention(program, name, block, operands, window)
        case "floats":
            context = program.add(
                "attention_f32",
                operands,
                ints={"heads": block.n_heads, **window},
                floats={"score_scale": float(np.float32(block.q_scale))},
            )
    context = input_bits(program, f"{name}.out_proj", block.out_proj, context)
    return lower_linear(program, f"{name}.out_proj", block.out_proj, context)


def operands_of(name: str, block: SelfAttention, *products: str) -> Operands:
    """Operands of the products of an attention.

    Raises UnsupportedError, naming the block or the leaf, if only some are in float.
    """
    precisions = []
    for product in products:
        leaf = getattr(block, product)
        is_binary(f"{name}.{product}", leaf)  # raises for a leaf with a single operand in float
        precisions.append(leaf.precision)
    n_float = sum(precision.is_float for precision in precisions)
    if 0 < n_float < len(products):
        raise UnsupportedError(
            f"{name}: of {', '.join(products)} some are quantized and others are not; "
            "quantize all of them in the plan, or none"
        )
    if n_float:
        return "floats"
    return "bits" if set(precisions) == {W1A1} else "codes"


def lower_operands(
    program: PlainProgram, name: str, block: SelfAttention, value: int, *, has_bits: bool
) -> list[int]:
    """Queries, keys and values, as floats or as bits of every head."""
    n_heads, width = block.n_heads, block.out_proj.in_features
    zero = np.zeros(width, np.float32)
    projected = []
    for role, leaf, factor, operand in (
        ("q_proj", block.q_proj, block.q_scale, "scores.left"),
        ("k_proj", block.k_proj, 1.0, "scores.right"),
        ("v_proj", block.v_proj, 1.0, "context.right"),
    ):
        read = input_bits(program, f"{name}.{role}", leaf, value)
        made = lower_linear(program, f"{name}.{role}", leaf, read)
        if has_bits:
            bits = with_factor(signed_bits(zero), factor)
            made = program.binarize(made, Binarizer(f"{name}.{operand}", bits, width, n_heads))
        projected.append(made)
    return projected


def _window_of(block: SelfAttention) -> dict[str, int]:
    """Attributes of the frames that a query sees: all, as many on both sides, or not."""
    if not isinstance(block, WindowAttention):
        return {"radius": -1}
    if block.left_frames == block.right_frames:
        return {"radius": block.left_frames}
    return {"left": block.left_frames, "right": block.right_frames}


def product_scale(product: torch.nn.Module) -> float:
    """The value of one unit of a binary product of two activations."""
    assert isinstance(product, QuantizedMatMul)
    return float(step_of(product.left_quantizer) * step_of(product.right_quantizer))


def context_of_bits(
    program: PlainProgram,
    op: str,
    name: str,
    block: SelfAttention,
    operands: list[int],
    ints: dict[str, int],
    floats: dict[str, float],
) -> int:
    """Adds a binary attention op with the attributes of all: heads and probabilities.

    ints, floats: attributes of this op only.
    """
    context = block.context
    assert isinstance(context, QuantizedMatMul)
    share = step_of(context.left_quantizer)
    scale = share * step_of(context.right_quantizer)
    ints = {"head_dim": block.out_proj.in_features // block.n_heads, **ints}
    floats = {**floats, "prob_half": float(share / np.float32(2))}
    # The length of the product over keys varies, but no sequence has more frames than this.
    product = BinaryProduct(2**24, scale)
    return program.add(op, operands, ints=ints, floats=floats, product=product)
